"""A query from start to end: told of, stopped by a signal, and its error said in a sentence."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from threading import Event

from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from edge.core import errors
from fleet.progress import Progress
from fleet.score import OBSERVED

_LOOK_S = 0.5
#: What a worker raised on purpose, in the trace that Spark hands over.
_RAISED = re.compile(r"^edge\.core\.errors\.(\w+Error): (.+)$", re.MULTILINE)


def run_until_stopped(spark: SparkSession, start: Callable[[], StreamingQuery], say: Callable[[str], None]) -> None:
    """Run the query until it ends by itself, or SIGTERM or Ctrl-C comes; raise what a worker raised on purpose."""
    stopping = Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    listener = Progress(OBSERVED, say)
    spark.streams.addListener(listener)
    try:
        query = start()
        while not stopping.is_set() and not query.awaitTermination(_LOOK_S):
            pass
        query.stop()
    except StreamingQueryException as error:
        raised = raised_in(str(error))
        if raised is None:
            raise
        raise raised from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        spark.streams.removeListener(listener)
        spark.stop()


def raised_in(trace: str) -> errors.GapcastError | None:
    r"""Return the error of gapcast's own in a worker's ``trace``, None where there is none.

    >>> raised_in("Traceback\nedge.core.errors.ModelError: no such model\n")
    ModelError('no such model')
    """
    found = _RAISED.search(trace)
    if found is None:
        return None
    kind = getattr(errors, found[1], errors.GapcastError)
    return kind(found[2]) if kind not in {errors.PayloadError, errors.SourceError} else errors.GapcastError(found[2])
