"""Scores of demands: how well probabilities and alarms agree with the outcomes of the windows."""
