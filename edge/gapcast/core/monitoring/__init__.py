"""What the service observes: devices that are online, clocks that are off, counters, rate limits."""
