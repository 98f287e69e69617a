"""Notebooks of the local workspace: parsed, run in processes of their own, on a Spark cluster."""
