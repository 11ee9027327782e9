"""Journals of readings: the records, their lines with a digest, and reading them back."""
