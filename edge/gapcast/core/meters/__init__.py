"""From meter messages to minute means: samples, counters, local times, payload paths. Pure."""
