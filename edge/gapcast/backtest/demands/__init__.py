"""Demands: their scores and their file."""
