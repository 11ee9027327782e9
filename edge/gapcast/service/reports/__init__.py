"""Publications besides forecasts: live scores, drift, availability, and events for GET /events."""
