"""Faults on purpose: kills, restarts, freezes, cuts and floods, and what came of each."""
