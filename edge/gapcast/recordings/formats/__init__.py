"""Readers of the supported formats, one file each."""
