"""Houses, and the settings of their engine."""
