"""Forecasts of one horizon: models, ensemble, outlook and plans together; and of devices with several."""
