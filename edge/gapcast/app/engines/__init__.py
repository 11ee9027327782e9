"""Engines with the loaded models, replaced when these change."""
