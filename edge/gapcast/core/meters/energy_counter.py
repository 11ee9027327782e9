"""Energy counters: the difference of two counts divided by the time between them is the mean power."""

from __future__ import annotations

from collections.abc import Sequence

from gapcast.core.meters.minutes import SampleResult

_MS_PER_HOUR = 3_600_000
#: The farthest that a clock is set back without a new start: the energy of this time counts in the time that follows.
_JITTER_MS = 60_000
#: The shortest time between two counts: without times of their own, those that a broker queued arrive all at once.
_SHORTEST_MS = 500


class EnergyCounter:
    """The energy counters of one device, one for each term of a sum.

    >>> counter = EnergyCounter(signs=(1, -1), hold_ms=120_000)
    >>> [counter.add(at_ms, kwh) for at_ms, kwh in ((0, (100.0, 7.0)), (60_000, (100.25, 7.0)))]
    [<SampleResult.TAKEN: 'taken'>, <SampleResult.TAKEN: 'taken'>]
    >>> counter.mean_kw
    15.0
    """

    __slots__ = ("_at_ms", "_counts_kwh", "_hold_ms", "_signs", "mean_kw", "n_resets")

    def __init__(self, signs: Sequence[int], hold_ms: int) -> None:
        self._signs = tuple(signs)
        self._hold_ms = hold_ms
        self._at_ms = 0
        self._counts_kwh: tuple[float, ...] | None = None
        #: Mean power between the last two counts, kW; None if unknown.
        self.mean_kw: float | None = None
        #: Number of counter resets: the count fell, and the energy between the two counts is unknown.
        self.n_resets = 0

    def capture_state(self) -> tuple[int, tuple[float, ...]] | None:
        """Return the time of the last counts and the counts, kWh; None before the first."""
        return None if self._counts_kwh is None else (self._at_ms, self._counts_kwh)

    def restore_state(self, at_ms: int, counts_kwh: tuple[float, ...]) -> None:
        """Restore a captured state; ignore it if the number of counters differs."""
        if len(counts_kwh) == len(self._signs):
            self._at_ms, self._counts_kwh = at_ms, counts_kwh

    def add(self, at_ms: int, counts_kwh: tuple[float, ...]) -> SampleResult:
        """Add counts; after a gap longer than ``hold_ms``, or if the clock was set back, start again.

        Counts less than half a second after the last ones are left out: their energy counts until the next ones. If no
        power is known yet, the newest of them are the first counts.
        """
        before_kwh, since_ms = self._counts_kwh, at_ms - self._at_ms
        if before_kwh is not None and -self._hold_ms <= since_ms <= 0:
            has_grown = any(now > before for now, before in zip(counts_kwh, before_kwh, strict=True))
            if not has_grown or since_ms >= -_JITTER_MS:  # else it is no late message: the clock was set back
                return SampleResult.LATE if since_ms else SampleResult.DUPLICATE
        if before_kwh is not None and 0 < since_ms < _SHORTEST_MS:
            if self.mean_kw is None:
                self._counts_kwh, self._at_ms = counts_kwh, at_ms
            return SampleResult.DUPLICATE
        self._counts_kwh, self._at_ms = counts_kwh, at_ms
        self.mean_kw = None
        if before_kwh is None:
            return SampleResult.TAKEN
        if any(now < before for now, before in zip(counts_kwh, before_kwh, strict=True)):
            self.n_resets += 1
        elif 0 < since_ms <= self._hold_ms:
            gained_kwh = sum(
                sign * (now - before) for sign, now, before in zip(self._signs, counts_kwh, before_kwh, strict=True)
            )
            self.mean_kw = gained_kwh * _MS_PER_HOUR / since_ms
        return SampleResult.TAKEN
