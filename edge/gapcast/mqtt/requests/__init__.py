"""Messages that are not readings: forecast requests, commands (plans, limits), registers of meters."""
