"""Scores models with the edge's predictors, on minutes to which they were not fitted."""
