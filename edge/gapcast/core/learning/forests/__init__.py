"""Regression trees of the nightly refit."""
