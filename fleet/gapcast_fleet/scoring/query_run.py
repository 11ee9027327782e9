"""Runs a streaming query: reports progress, stops on a signal, restarts it if a worker did not start in time."""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import Event

from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from gapcast.reentrant_event import ReentrantEvent
from gapcast_fleet.failures import REPLACE_IN_PLACE, is_slow_start, worker_error
from gapcast_fleet.scoring.progress import QueryProgress
from gapcast_fleet.scoring.score import OBSERVED

_POLL_S = 0.5
#: Maximum number of consecutive starts that end because a worker did not start in time.
_MAX_STARTS = 20
_CONTINUED = "A Python worker did not start within Spark's 10 s; the stream continues from its checkpoint."


def run_until_stopped(spark: SparkSession, start: Callable[[], StreamingQuery], show: Callable[[str], None]) -> None:
    """Run the query until it ends, or until SIGTERM or Ctrl-C; raise errors of workers."""
    stopping = ReentrantEvent()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    listener = QueryProgress(OBSERVED, show)
    spark.streams.addListener(listener)
    try:
        with worker_error(REPLACE_IN_PLACE):
            run_query(start, show, stopping)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        spark.streams.removeListener(listener)
        spark.stop()


def run_query(start: Callable[[], StreamingQuery], show: Callable[[str], None], stopping: Event) -> None:
    """Run the query that ``start`` starts from its checkpoint until it ends, or until ``stopping`` is set.

    Spark fails a query if a new Python process does not connect within ten seconds, a limit that has no setting. The
    query is then started again; after twenty such starts without a micro-batch in between the error is raised.
    """
    n_starts = 0
    while not stopping.is_set():
        query = start()
        n_starts += 1
        try:
            while not stopping.is_set() and not query.awaitTermination(_POLL_S):
                pass
        except StreamingQueryException as error:
            n_starts = 1 if query.lastProgress else n_starts
            if n_starts == _MAX_STARTS or not is_slow_start(str(error)):
                raise
            show(_CONTINUED)
        else:
            query.stop()
            return
