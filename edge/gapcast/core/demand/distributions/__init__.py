"""Distributions of a billing window's mean power, and the probability that it exceeds its limit."""
