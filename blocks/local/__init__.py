"""A stand-in on this machine for each outside system of the pipeline."""
