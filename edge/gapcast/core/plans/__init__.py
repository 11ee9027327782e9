"""Announced loads: a plan of power by minute and device, subtracted from windows and added to forecasts."""
