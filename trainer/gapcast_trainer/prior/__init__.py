"""Fits the prior of the learning state: the initial state of a new device."""
