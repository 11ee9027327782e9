"""The engine in use, and its replacement."""
