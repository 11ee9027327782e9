"""Trains the outlook model around a frozen body: rows of features, the fit, and its scores."""
