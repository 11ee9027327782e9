"""Skips the modules that need Spark where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = ["spark.py", "spark_kills.py"] if find_spec("pyspark") is None else []
