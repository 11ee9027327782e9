"""Scores of demands."""
