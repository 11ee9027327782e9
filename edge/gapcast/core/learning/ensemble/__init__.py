"""The ensemble: its members, weights, interval and state."""
