"""Trains the outlook model around a frozen trunk: rows of features, the fit, and its scores."""
