"""From the messages of meters to minute means: samples, counters, clocks, payload paths. Pure."""
