"""Queries of other threads."""
