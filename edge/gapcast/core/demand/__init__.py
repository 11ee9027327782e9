"""Demand: billing windows, the probability that a window exceeds its limit, and the power that may still be drawn."""
