"""Third-party forecasters for comparison: boosted trees (LightGBM) and classical methods (statsforecast).

They use the same readings, are scored on the same minutes in the same run, and are never shipped.
"""
