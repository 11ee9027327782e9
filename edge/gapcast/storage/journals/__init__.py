"""Journals: their records and lines."""
