"""Forecasts: their fields, range and JSON, the newest of each device, and their outcomes."""
