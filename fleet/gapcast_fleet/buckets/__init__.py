"""Devices in buckets: one engine each, its state in Spark's state store, and the checkpoint."""
