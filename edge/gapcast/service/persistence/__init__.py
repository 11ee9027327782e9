"""Persists each batch after the broker has confirmed its forecasts, and before its readings are acknowledged."""
