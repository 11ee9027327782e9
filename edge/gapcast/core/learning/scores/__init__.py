"""Scores of forecasts, and lasting changes in their errors."""
