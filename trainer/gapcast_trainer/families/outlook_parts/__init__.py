"""Layers of the family outlook: its features of the window and of the week of quarter-hours, and its outputs."""
