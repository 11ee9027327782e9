"""Recorded readings in files: formats, timestamps, and conversion to one value per minute."""
