"""Fits the prior of the learning state: what a new device starts with."""
