"""A Spark session: this process's own where no cluster was named, and what gapcast needs of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from gapcast.core.errors import SettingsError

#: What a stream with large state needs; each can be set otherwise by ``--conf``.
_SETTINGS = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    # A checkpoint is a path here, where Spark's usual way starts forty processes a micro-batch (readlink).
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    # Snapshots of megabytes replace each other: with RocksDB's own 64 MB it would compact all the time.
    "spark.sql.streaming.stateStore.rocksdb.writeBufferSizeMB": "256",
    "spark.sql.streaming.stateStore.rocksdb.maxWriteBufferNumber": "3",
    # A hundred versions, as Spark keeps by itself, would be the whole state many times over.
    "spark.sql.streaming.minBatchesToRetain": "10",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": str(os.cpu_count()),
    # No pause is too long here, and snapshots of megabytes are what G1 does badly.
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.executor.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
#: In the environment of what spark-submit started, which has told Spark its master already.
_SUBMITTED = "PYSPARK_GATEWAY_PORT"


def session(name: str, assignments: Sequence[str] = ()) -> SparkSession:
    """Return a session named ``name``, with the ``KEY=VALUE`` of ``assignments``.

    Started by spark-submit it is the cluster's, else one in this machine, with as many threads as it has cores.
    Raises :class:`SettingsError` where there is no Java.
    """
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        msg = "Spark needs Java 17 or later, and there is none: on Debian, apt install openjdk-17-jre-headless"
        raise SettingsError(msg)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    submitted = _SUBMITTED in os.environ
    wanted = {key: value for key, value in _SETTINGS.items() if not (submitted and _was_given(key))}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.startswith("spark."):
            msg = f"--conf {assignment!r} must be KEY=VALUE with a key like spark.driver.memory"
            raise SettingsError(msg)
        wanted[key] = value
    if not submitted and "spark.master" not in wanted:
        builder = builder.master(f"local[{os.cpu_count()}]")
        for key in ("spark.driver.host", "spark.driver.bindAddress"):  # it has nothing to say to other machines
            wanted.setdefault(key, "127.0.0.1")
    for key, value in wanted.items():
        builder = builder.config(key, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    return started


def _was_given(key: str) -> bool:
    """Whether spark-submit, which started this process, was told ``key``: by a ``--conf``, or by its defaults."""
    SparkContext._ensure_initialized()
    return bool(SparkConf().contains(key))
