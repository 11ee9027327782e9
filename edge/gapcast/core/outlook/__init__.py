"""The outlook: forecasts for lead times up to an hour, of single minutes and of the mean of all minutes until then."""
