"""Converts tracebacks of Python workers and of Java, as Spark passes them on, to error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException

from gapcast.core import errors

#: An error of gapcast in a worker's traceback.
_RAISED = re.compile(r"gapcast\.core\.errors\.(\w+Error): (.+)$", re.MULTILINE)
_NO_KAFKA = re.compile(r"Failed to find (the )?data source: kafka")
_KAFKA_FIX = (
    "Spark's Kafka connector is not on the class path: add --conf "
    "spark.jars.packages=org.apache.spark:spark-sql-kafka-0-10_2.13 followed by a colon and Spark's version"
)
_UNREADABLE = re.compile(r"Encountered error while reading file (.+?)\.(?:\s|$)")
_UNREADABLE_PROBLEM = (
    "Spark cannot read this file: it is damaged, or the types of its columns differ from those of other files"
)
#: How to fix a file that cannot be read: for a command that reads its whole input again at the next start.
WRITE_AGAIN = "write it again, or move it away"
#: The same for a stream, whose checkpoint has the names of the files of the micro-batch that failed.
REPLACE_IN_PLACE = (
    "replace it under the same name before the next start; if you move it away instead, its readings are skipped, and "
    "a corrected copy needs another name"
)
_DIED = "Python worker exited unexpectedly"
_SLOW_START = "Python worker failed to connect back"
_FIX = (
    "a Python worker died, probably out of memory: give it more (on a cluster spark.executor.memoryOverhead), "
    "or less work at a time (--files-at-once, --cached-devices, --houses-at-once, "
    "more --buckets), and restart: no data is lost"
)
_DISK_FULL = "No space left on device"
_DISK_FIX = (
    "a disk is full: free space in the output folder, the checkpoint and Spark's scratch folder (spark.local.dir), and "
    "restart: no data is lost"
)
_JAVA_MEMORY = "java.lang.OutOfMemoryError"
_JAVA_FIX = (
    "Java ran out of memory: give it more (--conf spark.driver.memory=4g, on a cluster also spark.executor.memory), or "
    "less work at a time (--files-at-once, more --buckets, a shorter --every), and restart: no data is lost"
)


@contextmanager
def worker_error(unreadable_fix: str = WRITE_AGAIN) -> Iterator[None]:
    """Replace Spark's own error by the error that a worker raised, or the reason why it failed or died.

    ``unreadable_fix`` is the fix for a file that Spark cannot read.
    """
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        raised = raised_in(str(error), unreadable_fix)
        if raised is None:
            raise
        raise raised from error


@contextmanager
def microseconds_required(folder: Path) -> Iterator[None]:
    """Replace Spark's error for timestamps in nanoseconds in the Parquet of ``folder`` by an error with the fix."""
    try:
        yield
    except AnalysisException as error:
        if "TIMESTAMP(NANOS" not in str(error):
            raise
        fix = 'write them in µs, in pandas by to_parquet(…, coerce_timestamps="us")'
        raise errors.SourceError(folder, f"holds times in nanoseconds, which Spark does not read: {fix}") from error


def path_of(uri: str) -> str:
    """Return the path in a file's URI, as Spark writes it.

    >>> path_of("file:///data/my%20house.parquet")
    '/data/my house.parquet'
    """
    return unquote(re.sub("^file:/+", "/", uri))


def raised_in(trace: str, unreadable_fix: str = WRITE_AGAIN) -> errors.GapcastError | None:
    r"""Return gapcast's error in a worker's ``trace``; None if it contains none.

    >>> raised_in("Traceback\ngapcast.core.errors.ModelError: no such model\n")
    ModelError('no such model')
    """
    found = _RAISED.search(trace)
    if _NO_KAFKA.search(trace):
        return errors.SettingsError(_KAFKA_FIX)
    if found is None and (unreadable := _UNREADABLE.search(trace)):
        return errors.SourceError(path_of(unreadable[1]), f"{_UNREADABLE_PROBLEM}: {unreadable_fix}")
    if found is None and _DISK_FULL in trace:
        return errors.GapcastError(_DISK_FIX)
    if found is None and _JAVA_MEMORY in trace:
        return errors.GapcastError(_JAVA_FIX)
    if found is None:
        return errors.GapcastError(_FIX) if _DIED in trace else None
    kind = getattr(errors, found[1], errors.GapcastError)
    return kind(found[2]) if kind not in {errors.PayloadError, errors.SourceError} else errors.GapcastError(found[2])


def is_slow_start(trace: str) -> bool:
    """Return whether a query failed because a Python process did not connect to Spark in time."""
    return _SLOW_START in trace
