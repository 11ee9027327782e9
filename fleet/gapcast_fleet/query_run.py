"""Runs a streaming query: reports progress, stops on a signal, converts errors to messages."""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import Event

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from gapcast_fleet.failures import worker_error
from gapcast_fleet.progress import QueryProgress
from gapcast_fleet.score import OBSERVED

_POLL_S = 0.5


def run_until_stopped(spark: SparkSession, start: Callable[[], StreamingQuery], show: Callable[[str], None]) -> None:
    """Run the query until it ends, or until SIGTERM or Ctrl-C; raise errors of workers."""
    stopping = Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    listener = QueryProgress(OBSERVED, show)
    spark.streams.addListener(listener)
    try:
        with worker_error():
            query = start()
            while not stopping.is_set() and not query.awaitTermination(_POLL_S):
                pass
            query.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        spark.streams.removeListener(listener)
        spark.stop()
