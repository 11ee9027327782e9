"""Persistence across restarts: a journal of readings, and checkpoints of the engine's state."""
