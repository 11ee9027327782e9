"""Hyper-parameter search: search space, search and report."""
