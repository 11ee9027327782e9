"""The composition root: creates adapters, models and the service from the settings, and connects them."""
