"""Statistics of the running service: online devices, clocks that are wrong, counters, rate limits."""
