"""Checkpoints: the file format, its arrays and header, and the rule for when one is due."""
