"""Inputs of a back-test: the houses, read from files, and the settings of their engine."""
