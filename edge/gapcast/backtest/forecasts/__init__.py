"""Forecasts of a back-test: their scores, the CSV file of forecasts, and the nightly refits between them."""
