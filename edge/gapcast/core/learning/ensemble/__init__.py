"""The ensemble: combines the predictions of its members, and learns weights and interval from outcomes."""
