"""Creates the Spark session, local unless a cluster is configured, with the settings that gapcast needs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from gapcast.core.errors import SettingsError

#: Settings for a stream with large state; each can be overridden by ``--conf``.
_SETTINGS = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    # Path-based checkpoints; Spark's default starts forty processes (readlink) per micro-batch.
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    # Snapshots of megabytes replace each other: with RocksDB's default of 64 MB it would compact permanently.
    "spark.sql.streaming.stateStore.rocksdb.writeBufferSizeMB": "256",
    "spark.sql.streaming.stateStore.rocksdb.maxWriteBufferNumber": "3",
    # Spark's default of a hundred versions would multiply the disk space of the state.
    "spark.sql.streaming.minBatchesToRetain": "10",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": str(os.cpu_count()),
    # Python and Java connect to each other for each task; Spark's default of 15 s ends a stream on a busy machine.
    "spark.python.authenticate.socketTimeout": "120s",
    # Long pauses are acceptable, and G1 handles snapshots of megabytes badly.
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.executor.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
#: Environment variable that spark-submit sets; Spark's master is then already configured.
_SUBMITTED = "PYSPARK_GATEWAY_PORT"


def session(name: str, assignments: Sequence[str] = ()) -> SparkSession:
    """Return a session named ``name``, with the ``KEY=VALUE`` settings in ``assignments``.

    Under spark-submit it is the cluster's session, otherwise a local session with one thread per core.
    Raises :class:`SettingsError` if Java is missing.
    """
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        msg = "Spark needs Java 17 or later, which was not found: on Debian, apt install openjdk-17-jre-headless"
        raise SettingsError(msg)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    submitted = _SUBMITTED in os.environ
    wanted = {key: value for key, value in _SETTINGS.items() if not (submitted and _is_set_by_submit(key))}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.startswith("spark."):
            msg = f"--conf {assignment!r} must be KEY=VALUE with a key like spark.driver.memory"
            raise SettingsError(msg)
        wanted[key] = value
    if not submitted and "spark.master" not in wanted:
        builder = builder.master(f"local[{os.cpu_count()}]")
        for key in ("spark.driver.host", "spark.driver.bindAddress"):  # no access from other machines
            wanted.setdefault(key, "127.0.0.1")
    for key, value in wanted.items():
        builder = builder.config(key, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    return started


def _is_set_by_submit(key: str) -> bool:
    """Return whether spark-submit, which started this process, sets ``key``, by ``--conf`` or its defaults."""
    SparkContext._ensure_initialized()
    return bool(SparkConf().contains(key))
