"""Journals of readings: the records, their lines with a digest, and a reader."""
