"""The progress of a stream: one line per micro-batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)

from gapcast_fleet.buckets.bucket import COUNTS


class QueryProgress(StreamingQueryListener):
    """Reports each micro-batch of the query whose observation is called ``name``."""

    def __init__(self, name: str, show: Callable[[str], None]) -> None:
        """Call ``show`` with each line."""
        self._name, self._show = name, show

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802 - Spark's
        """Do nothing."""

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802 - Spark's
        """Do nothing."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802 - Spark's
        """Do nothing."""

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802 - Spark's
        """Report a micro-batch that had input."""
        progress = event.progress
        counts = progress.observedMetrics.get(self._name)
        if counts is not None and progress.numInputRows:
            self._show(line(progress.batchId, progress.numInputRows, counts.asDict(), progress.batchDuration / 1_000))


def line(number: int, n_messages: int, counts: dict[str, Any], took_s: float) -> str:
    """Return the line about a micro-batch.

    >>> line(3, 10, {"forecasts": 7, "accepted": 8, "duplicate": 1, "late": 0, "rejected": 1}, 2.0)
    'batch 3: 10 messages, 7 forecasts (8 accepted, 1 duplicate, 0 late, 1 rejected) in 2.0 s, 5 a second'
    """
    outcomes = ", ".join(f"{counts[name]:,} {name}" for name in COUNTS)
    rate = n_messages / took_s if took_s else 0.0
    processed = f"batch {number}: {n_messages:,} messages, {counts['forecasts']:,} forecasts ({outcomes})"
    return f"{processed} in {took_s:.1f} s, {rate:,.0f} a second"
