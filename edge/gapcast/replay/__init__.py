"""Replays a file of readings like a live meter."""
