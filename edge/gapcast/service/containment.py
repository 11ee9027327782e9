"""Contains errors: an error is logged and counted, whatever its cause, and other steps and the service continue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock
from typing import Literal, ParamSpec, TypeAlias, TypeVar

import structlog

from gapcast.core.errors import PayloadError, ShardError
from gapcast.core.monitoring.statistics import Statistics

log = structlog.get_logger(__name__)

#: Errors that end the process wherever they are raised; all others are contained, including a library's BaseException.
EXIT_EXCEPTIONS = (KeyboardInterrupt, SystemExit)
#: The detail of a message or request that failed because of an error inside gapcast.
INTERNAL_ERROR = "internal error in gapcast: see internal.error in its log"
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
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Subject = TypeVar("Subject")
#: A step, and the part of the service to which its errors are attributed.
Step: TypeAlias = tuple[Part, Callable[[Subject], object]]

#: Errors that propagate and end the process.
PROPAGATED_ERRORS = (*EXIT_EXCEPTIONS, ShardError)


def record_internal_error(statistics: Statistics, part: Part, error: BaseException, what: str = "") -> None:
    """Count an ``error`` that was contained in ``part``, and log it with its traceback.

    The log's rate limit is per part and type of error, so that one kind cannot hide another. ``what`` names what was
    being handled, such as a topic or a device; never a payload, which may be large or private.
    """
    with _counting:
        statistics.internal_errors[part] = statistics.internal_errors.get(part, 0) + 1
    kind = type(error).__name__
    with suppress(Exception):  # a failing log must not end what it reports on; the count remains
        log.error("internal.error", part=part, kind=kind, problem=str(error)[:240], what=what, exc_info=error)


def internal_problem() -> PayloadError:
    """Return the problem for rejecting a message that caused an internal error."""
    return PayloadError("internal_error", INTERNAL_ERROR)


class Containment:
    """Records any exception in ``statistics`` and the log; only :data:`PROPAGATED_ERRORS` propagates."""

    def __init__(self, statistics: Statistics) -> None:
        self.statistics = statistics

    def attempt(
        self, part: Part, step: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result | None:
        """Return the result of ``step``, or None if it raised; the error is recorded for ``part``."""
        try:
            return step(*args, **kwargs)
        except PROPAGATED_ERRORS:
            raise
        except BaseException as error:
            self.record(part, error, getattr(step, "__qualname__", ""))
            return None

    def run_steps(self, steps: Iterable[Step[Subject]], subject: Subject) -> None:
        """Call each of ``steps`` with ``subject``, even if earlier ones raised: like :meth:`attempt`, at less cost."""
        for part, step in steps:
            try:
                step(subject)
            except PROPAGATED_ERRORS:
                raise
            except BaseException as error:
                self.record(part, error, getattr(step, "__qualname__", ""))

    def record(self, part: Part, error: BaseException, what: str) -> None:
        """Record an ``error`` that the caller caught itself."""
        record_internal_error(self.statistics, part, error, what)
