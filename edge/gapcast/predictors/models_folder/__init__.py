"""The models folder: its files, checked, and its registries."""
