"""The broker, as the service sees it: what comes in, what goes out, and when what came in may be acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from gapcast.core.errors import PayloadError
from gapcast.core.forecast import Forecasts
from gapcast.core.meters.samples import MeterState, Sample
from gapcast.core.reading import Reading


class Arrival(NamedTuple):
    """A message that came in: the reading in it, or the problem with it. ``token`` is the link's own.

    A message may hold neither: one for the link itself, a sample of a minute that is not over, or nothing of interest.
    """

    reading: Reading | None
    problem: PayloadError | None
    received_s: float
    token: Any


class Meters(Protocol):
    """The meters that give samples, whose open minutes are to outlive the process."""

    def take_samples(self) -> Sequence[Sample]:
        """Return what was told since the last call, in order, and had an effect."""
        ...

    def capture_state(self) -> Sequence[MeterState]:
        """Return where each stands."""
        ...

    def resume(self, meters: Sequence[MeterState]) -> None:
        """Let each go on from where it stood."""
        ...

    def recall(self, samples: Sequence[Sample], readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Take again what was told in a batch; the minutes that it closed then are those of ``readings``."""
        ...

    def forget(self, device: str) -> None:
        """Know nothing of ``device`` any more."""
        ...


class NoMeters:
    """Implements :class:`Meters` where readings come as minutes."""

    def take_samples(self) -> Sequence[Sample]:
        """Return none."""
        return ()

    def capture_state(self) -> Sequence[MeterState]:
        """Return none."""
        return ()

    def resume(self, meters: Sequence[MeterState]) -> None:
        """Leave the minutes of an earlier configuration open."""

    def recall(self, samples: Sequence[Sample], readings: Sequence[Reading], issued_at_ms: int) -> None:
        """Leave out the samples of an earlier configuration."""

    def forget(self, device: str) -> None:
        """Have nothing of the device."""


class Link(Protocol):
    """The broker, as the service sees it."""

    @property
    def meters(self) -> Meters:
        """The meters whose samples come in."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the broker is there and readings are subscribed to."""
        ...

    @property
    def held_up(self) -> bool:
        """Whether so much is unconfirmed that nothing more should be sent."""
        ...

    @property
    def n_queued(self) -> int:
        """Messages that came and have not been taken."""
        ...

    @property
    def n_taken(self) -> int:
        """Messages that were taken since the start."""
        ...

    @property
    def n_dropped(self) -> int:
        """Messages that came faster than they could be taken, and were let go."""
        ...

    @property
    def problem(self) -> str:
        """Why there is no connection, in a sentence; empty while there is one."""
        ...

    def take(self, n_at_most: int, timeout_s: float) -> list[Arrival]:
        """Return what is queued, waiting up to ``timeout_s`` for the first; (re)connect as needed."""
        ...

    def publish(self, forecasts: Forecasts) -> list[int]:
        """Send each forecast at once, not with :meth:`flush`; return a receipt for each, 0 where none will come."""
        ...

    @property
    def n_fresh_sessions(self) -> int:
        """Connections on which the broker remembered nothing of us, and may have lost what it retained."""
        ...

    def announce(self, device: str, *, online: bool) -> None:
        """Say, for who comes later too, whether a device is there."""
        ...

    def forget(self, device: str) -> None:
        """Take back what was said of a device for who comes later."""
        ...

    def reject(self, what: Arrival | Reading, problem: PayloadError) -> None:
        """Tell on the rejected topic why a message, or a reading that had been held, could not be used."""
        ...

    def report_scores(self, device: str, document: Mapping[str, object]) -> None:
        """Tell how good a device's forecasts are."""
        ...

    def report_event(self, document: Mapping[str, object]) -> None:
        """Tell of something that happened, once."""
        ...

    def settle(self, arrival: Arrival, receipt: int, batch: int) -> None:
        """Acknowledge a message once the forecast with that ``receipt`` is confirmed (0: none) and ``batch`` kept."""
        ...

    def confirmed(self, receipts: Sequence[int]) -> bool:
        """Tell whether the broker has confirmed all forecasts with these ``receipts``."""
        ...

    def keep(self, batch: int) -> None:
        """Acknowledge what waited for ``batch``, or one before it, to be kept."""
        ...

    def flush(self) -> None:
        """Hand all that was written to the network."""
        ...

    def close(self, timeout_s: float, meanwhile: Callable[[], None]) -> bool:
        """Say ``offline``, wait for what is unconfirmed, disconnect; tell whether all was confirmed.

        ``meanwhile`` is called whenever something may have been confirmed.
        """
        ...
