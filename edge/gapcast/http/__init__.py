"""REST: health, metrics, models and predictions."""
