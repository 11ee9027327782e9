"""Statistics of the running service: online devices, wrong clocks, counters, rate limits."""
