"""Everything that speaks to the outside world, usable without a flow run."""
