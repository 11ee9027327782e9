"""The window that a model takes: its contract, its input columns, and windows for training."""
