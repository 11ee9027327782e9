"""The interface between the service and the nightly refit, which records readings and reports the refits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gapcast.core.readings.reading import Reading


@dataclass(frozen=True, slots=True)
class RefitStatus:
    """The refits so far: when they last ran, seconds since the epoch (None: not yet), and for how long, s.

    ``n_used`` and ``n_refused`` count since the start the refits whose forest is used, and the refits that failed or
    whose forest did not do well; ``n_forests`` devices have a forest, with these mean skills against persistence on
    their newest days.
    """

    last_ran_s: float | None = None
    took_s: float = 0.0
    n_used: int = 0
    n_refused: int = 0
    n_forests: int = 0
    mse_skill: float | None = None
    mae_skill: float | None = None


class MinuteRecorder(Protocol):
    """Records readings for the nightly refit. :meth:`record` is called by the stream, the others by any thread."""

    @property
    def status(self) -> RefitStatus | None:
        """The refits so far; None if this gateway does not refit."""
        ...

    def record(self, readings: Sequence[Reading]) -> None:
        """Record ``readings`` that entered a window, in order."""
        ...

    def forget(self, device: str) -> None:
        """Remove the recorded readings of ``device``; the caller does not hold the engine's lock."""
        ...


class NoMinuteRecorder:
    """Implements :class:`MinuteRecorder` and records nothing."""

    status = None

    def record(self, readings: Sequence[Reading]) -> None:
        """Do nothing."""

    def forget(self, device: str) -> None:
        """Do nothing."""
