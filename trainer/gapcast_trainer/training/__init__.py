"""Fits models: gradient descent, and the files of a training run."""
