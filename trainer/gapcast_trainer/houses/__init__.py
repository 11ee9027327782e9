"""Scores of models on several houses, compared with LightGBM fitted to the house itself and to the others."""
