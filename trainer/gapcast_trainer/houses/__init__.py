"""Scores of models on several houses, one row a house, with LightGBM fitted to the house itself and to the others."""
