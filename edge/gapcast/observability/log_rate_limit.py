"""Rate-limits each log event; the next line of an event reports how many were omitted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from gapcast.core.monitoring.token_bucket import TokenBucket

#: Burst of lines of one event, and its rate per second: one every ten seconds.
BURST, PER_S = 20.0, 0.1
#: Maximum number of tracked events, because libraries may log any text; further events share one bucket.
_MAX_EVENTS = 256
_OTHERS = ""


class LogRateLimiter:
    """Counts lines by event. Used by several threads without a lock: a lost count does no harm."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._buckets: dict[str, TokenBucket] = {}

    def try_consume(self, event: str) -> int | None:
        """Return how many lines of ``event`` were omitted before this one; None if this one is omitted too."""
        bucket, now_s = self._of(event), self._clock_s()
        return bucket.pop_suppressed_count() if bucket.try_consume(now_s) else None

    def __call__(self, _logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Pass an entry on, with ``omitted``, or raise :class:`DropEvent` (a structlog processor)."""
        event = str(entry.get("event"))
        if event == "internal.error":  # one kind of error must not use up the lines of another
            event = f"{event} {entry.get('part')} {entry.get('kind')}"
        omitted = self.try_consume(event)
        if omitted is None:
            raise structlog.DropEvent
        if omitted:
            entry["omitted"] = omitted
        return entry

    def _of(self, event: str) -> TokenBucket:
        bucket = self._buckets.get(event)
        if bucket is None:
            name = event if len(self._buckets) < _MAX_EVENTS else _OTHERS
            bucket = self._buckets.setdefault(name, TokenBucket(PER_S, self._clock_s(), BURST))
        return bucket


class LibraryFilter(logging.Filter):
    """Applies the same limit to log records of libraries: uvicorn logs every request that is not HTTP."""

    def __init__(self, limiter: LogRateLimiter) -> None:
        super().__init__()
        self._limiter = limiter

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass a record on, with the number of omitted similar records."""
        omitted = self._limiter.try_consume(f"{record.name}: {record.msg}")
        record.__dict__["omitted"] = omitted
        return omitted is not None


def as_library_event(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a library's line a fixed event name; its message becomes ``text``."""
    record: logging.LogRecord = entry["_record"]
    entry["logger"], entry["text"], entry["event"] = record.name, entry["event"], "library.message"
    if omitted := record.__dict__.get("omitted"):
        entry["omitted"] = omitted
    return entry
