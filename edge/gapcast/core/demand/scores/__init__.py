"""Scores of demands: how well probabilities and alarms agree with the windows that followed."""
