"""Scores of models on several houses, beside LightGBM fitted to the house itself and to the others."""
