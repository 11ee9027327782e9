"""The engine in a Python worker of Spark: creates and caches it, and identifies its models and settings."""
