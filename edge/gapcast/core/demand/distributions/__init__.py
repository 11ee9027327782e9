"""Distributions of the mean power of a billing window, and the probability that it exceeds its limit."""
