"""Schemas of responses."""
