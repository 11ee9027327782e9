"""A model: its card, and the interface that the engine calls."""
