"""Runs the steps of the stream so that an error in one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeAlias, TypeVar

from gapcast.core.errors import ShardError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.service.containment.internal_errors import EXIT_EXCEPTIONS, Part, record_internal_error

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Subject = TypeVar("Subject")
#: A step, and the part of the service to which its errors are attributed.
Step: TypeAlias = tuple[Part, Callable[[Subject], object]]

#: Propagated: they are raised to end the process.
PROPAGATED_ERRORS = (*EXIT_EXCEPTIONS, ShardError)


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
        """Call each of ``steps`` with ``subject``, whatever the ones before it raised: :meth:`attempt` at less cost."""
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
