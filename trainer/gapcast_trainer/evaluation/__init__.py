"""Scores models by the edge's predictors, on minutes that they were not fitted to."""
