"""Scores of outlooks, and the references they are compared with."""
