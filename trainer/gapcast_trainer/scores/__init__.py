"""Scores of forecasts: what is measured, over which minutes, and how each model's sheet is made.

``minutes`` holds what came, ``answers`` what a model said of it, ``measures`` the errors of each
forecast, ``record`` their means over a group, ``sheet`` all groups of one model, ``cost`` what it takes.
"""
