"""Runs the steps of the stream such that an error in one does not keep the others from being taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from gapcast.core.errors import ShardError
from gapcast.core.statistics import Statistics
from gapcast.service.internal_errors import NOT_CONTAINED, Part, record_internal_error

Given = ParamSpec("Given")
Result = TypeVar("Result")

#: Raised on purpose, to end the process: these pass.
PASSED = (*NOT_CONTAINED, ShardError)


class Containment:
    """Records what is raised, whatever it is, in ``statistics`` and the log; only :data:`PASSED` goes on."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def attempt(
        self, part: Part, step: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
    ) -> Result | None:
        """Return what ``step`` returns, or None where it raised: the error is recorded for ``part``."""
        try:
            return step(*given, **named)
        except PASSED:
            raise
        except BaseException as error:
            self.record(part, error, getattr(step, "__qualname__", ""))
            return None

    def record(self, part: Part, error: BaseException, what: str) -> None:
        """Record an ``error`` that the caller has contained itself."""
        record_internal_error(self._statistics, part, error, what)
