"""Forecasts: their outcomes, their file, and the refits between them."""
