"""The broker: its address, and the connection."""
