"""The window of a model: its contract, its input columns, and windows to train on."""
