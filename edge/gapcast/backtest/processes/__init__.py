"""Houses distributed over processes."""
