"""Distributions of a window's mean, and the chance that it exceeds a limit."""
