"""The composition root: joins adapters, models and the service."""
