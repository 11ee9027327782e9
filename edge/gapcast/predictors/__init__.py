"""What turns windows into forecasts: TFLite models and the baselines beside them."""
