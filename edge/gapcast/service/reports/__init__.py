"""What is published beside forecasts: scores, availability, events."""
