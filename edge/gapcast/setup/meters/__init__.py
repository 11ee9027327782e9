"""Finds meters in the recorded messages, recognizes their presets, and lets the user choose."""
