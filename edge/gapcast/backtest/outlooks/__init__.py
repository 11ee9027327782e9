"""Outlooks: their scores and their file."""
