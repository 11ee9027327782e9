"""Histories of houses in Parquet: their minutes, and their distribution to groups."""
