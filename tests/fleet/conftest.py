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


#: Java compiles quickly instead of optimizing: code that runs for seconds is ready in less than half the time. It does
#: not verify the bytecode of Spark's jars, which takes a fifth of a start.
UNVERIFIED = "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
QUICK = f"spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {UNVERIFIED}"
CONF = ("spark.master=local[2]", "spark.sql.shuffle.partitions=2", QUICK)


@pytest.fixture
def spark() -> SparkSession:
    """A session as the commands create it, on two threads, shared by all tests unless one of them ended it."""
    from gapcast_fleet.spark import session

    return session("tests", CONF)


@pytest.fixture(scope="session", autouse=True)
def _spark_ends() -> Iterator[None]:
    yield
    from pyspark.sql import SparkSession

    if (last := SparkSession.getActiveSession()) is not None:
        last.stop()
