"""Spark in this process, one session for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# They run in an environment of their own: see scripts/test.
collect_ignore_glob = ["*.py"] if find_spec("pyspark") is None else []


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A session as the commands make it, on two threads."""
    from fleet.spark import session

    made = session("tests", ["spark.master=local[2]", "spark.sql.shuffle.partitions=2"])
    yield made
    made.stop()
