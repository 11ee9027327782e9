"""Forecasters by other hands, to be compared with: boosted trees (LightGBM) and classical methods (statsforecast).

They see the same readings before the same minutes, are scored in the same run, and are never shipped.
"""
