"""Forecasts of a back-test: their scores, the CSV file that has them, and the nightly refits between them."""
