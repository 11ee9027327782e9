"""Checkpoints: their file, arrays and header."""
