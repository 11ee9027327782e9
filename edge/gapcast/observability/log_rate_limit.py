"""Keeps any one event from flooding the log: each has a budget, and the next line of it says how many were left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from gapcast.core.budget import Budget

#: Lines of one event at once, after a quiet time, and then a second: one every ten seconds.
AT_ONCE, PER_S = 20.0, 0.1
#: Events are few, and texts of libraries may be any: those beyond share one budget.
_MAX_EVENTS = 256
_OTHERS = ""


class LogBudget:
    """Counts lines by event. Safe where threads log: a lost count is no harm."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._budgets: dict[str, Budget] = {}

    def spend(self, event: str) -> int | None:
        """Return how many lines of ``event`` were left out before this one; None where this one is left out, too."""
        budget, now_s = self._of(event), self._clock_s()
        return budget.take_omitted() if budget.spend(now_s) else None

    def __call__(self, _logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Let an entry through, with ``omitted``; or none, as a processor of structlog does (:class:`DropEvent`)."""
        event = str(entry.get("event"))
        if event == "internal.error":  # one kind of error must not use up another's lines
            event = f"{event} {entry.get('part')} {entry.get('kind')}"
        omitted = self.spend(event)
        if omitted is None:
            raise structlog.DropEvent
        if omitted:
            entry["omitted"] = omitted
        return entry

    def _of(self, event: str) -> Budget:
        budget = self._budgets.get(event)
        if budget is None:
            name = event if len(self._budgets) < _MAX_EVENTS else _OTHERS
            budget = self._budgets.setdefault(name, Budget(PER_S, self._clock_s(), AT_ONCE))
        return budget


class LibraryFilter(logging.Filter):
    """The same for what libraries log: uvicorn has a line for each request that is no HTTP."""

    def __init__(self, budget: LogBudget) -> None:
        super().__init__()
        self._budget = budget

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record through, with how many like it were left out."""
        omitted = self._budget.spend(f"{record.name}: {record.msg}")
        record.__dict__["omitted"] = omitted
        return omitted is not None


def as_library_event(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a library's line a name that stays: its text is ``text``."""
    record: logging.LogRecord = entry["_record"]
    entry["logger"], entry["text"], entry["event"] = record.name, entry["event"], "library.said"
    if omitted := record.__dict__.get("omitted"):
        entry["omitted"] = omitted
    return entry
