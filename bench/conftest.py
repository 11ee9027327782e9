"""Skips the modules that need Spark or the trainer if these are not installed."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDED = {
    "demand_picture.py": "matplotlib",
    "outlook_picture.py": "matplotlib",
    "outlook_scores.py": "matplotlib",
    "spark.py": "pyspark",
    "spark_kills.py": "pyspark",
}
collect_ignore = [module for module, package in _NEEDED.items() if find_spec(package) is None]
