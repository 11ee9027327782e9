"""Regression trees of the nightly refit, as ensemble members: evaluated in numpy, one forest per device."""
