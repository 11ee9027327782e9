"""The outlook: each lead time up to an hour, for single minutes and for the mean of all minutes until then."""
