"""Locks, damaged files, and errors of the disk."""
