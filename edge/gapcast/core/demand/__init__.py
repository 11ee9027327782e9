"""Demand: billing windows, the probability that one exceeds its limit, and the power that may still be drawn."""
