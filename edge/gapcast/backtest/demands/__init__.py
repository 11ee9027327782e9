"""Demands of a back-test: their scores, and the CSV file that has them."""
