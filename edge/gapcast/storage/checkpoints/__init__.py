"""Checkpoints: the format of the file, its arrays and header, and when one is due."""
