"""Readings before training: download, clean file, split by time, and windows with their targets."""
