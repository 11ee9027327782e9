"""The engine in a Python worker of Spark, and what identifies its models."""
