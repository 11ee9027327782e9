"""The configuration: its sections and the loader."""
