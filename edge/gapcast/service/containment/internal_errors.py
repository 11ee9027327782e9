"""Internal errors: whatever input causes one, it is logged and counted, and the service continues."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from typing import Literal

import structlog

from gapcast.core.errors import PayloadError
from gapcast.core.monitoring.statistics import Statistics

log = structlog.get_logger(__name__)

#: Ends the process whatever raised it; everything else is contained, including a library's own BaseException.
EXIT_EXCEPTIONS = (KeyboardInterrupt, SystemExit)
#: Where an error was contained: the label ``part`` of ``gapcast_internal_errors_total``.
Part = Literal[
    "message",
    "forecast",
    "outlook",
    "demand",
    "learning",
    "persistence",
    "publish",
    "request",
    "http",
    "models",
    "stream",
    "refit",
]

_counting = Lock()  # the threads of the stream, REST, models and refits count


def record_internal_error(statistics: Statistics, part: Part, error: BaseException, what: str = "") -> None:
    """Count an ``error`` that was contained in ``part``, and log it with its traceback.

    The log's rate limit is per part and type of error, so that one kind cannot hide another. ``what`` names what was
    being handled, such as a topic or a device; never a payload, which may be large or private.
    """
    with _counting:
        statistics.internal_errors[part] = statistics.internal_errors.get(part, 0) + 1
    kind = type(error).__name__
    with suppress(Exception):  # a log that cannot be written must not end what it reports on; the count stands
        log.error("internal.error", part=part, kind=kind, problem=str(error)[:240], what=what, exc_info=error)


def internal_problem() -> PayloadError:
    """Return the problem to reject a message with that caused an internal error."""
    return PayloadError("internal_error", "an error inside gapcast; its log has it as internal.error")
