"""Forecasts: their fields, range and JSON, the newest forecast of each device, and the outcomes."""
