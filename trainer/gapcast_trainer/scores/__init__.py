"""Scores of forecasts: error measures, scored minutes, and score sheets of models.

``minutes`` holds the outcomes, ``model_outputs`` the predictions, ``measures`` the errors of each
forecast, ``record`` their means over a group, ``sheet`` all groups of one model, ``cost`` size and run time.
"""
