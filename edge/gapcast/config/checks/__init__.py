"""Checks of whole configurations."""
