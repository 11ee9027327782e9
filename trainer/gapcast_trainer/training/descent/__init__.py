"""Gradient descent: its losses, epochs and weights."""
