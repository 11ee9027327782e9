"""One meter of a source, between its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from gapcast.core.meters.counter import Counter
from gapcast.core.meters.minutes import MinuteMeans
from gapcast.core.meters.samples import MeterState
from gapcast.core.meters.source import Source, sum_terms


@dataclass(slots=True)
class Meter:
    """What is known of a device between its messages."""

    name: str
    topic: str
    source: Source
    means: MinuteMeans
    counter: Counter | None
    #: The newest of each term of its value.
    known: dict[str, float] = field(default_factory=dict)
    #: Which of the source's sums it gives: no later one stands in for that.
    best: int = 0
    last_ms: int | None = None
    #: How far its clock is behind the gateway's.
    behind_ms: int = 0
    n_slow: int = 0
    #: By when, gateway's clock, its minute is to be looked at; infinity where it is not.
    awaited_ms: float = inf

    @property
    def sends_samples(self) -> bool:
        """Whether it gives samples, of which minutes are made."""
        return self.source.kind == "samples"

    @property
    def has_samples(self) -> bool:
        """Whether it ever told anything of its value."""
        return bool(self.known) or self.means.newest_ms is not None

    def learn(self, terms: Mapping[str, float | None]) -> float | None:
        """Note the newest of each of some terms; return the value with them, None where one of the others is not known.

        What comes in several messages, as phases do, is added up of the newest of each.
        """
        for path, value in terms.items():
            if value is None:
                self.known.pop(path, None)
            else:
                self.known[path] = value
        sums = self.source.value
        if not sums:
            return self.known.get("")
        for place, one in enumerate(sums[: self.best]):
            if any(term.path in terms for term in one):
                self.best = place
                break
        return sum_terms(sums[self.best], self.known)

    def capture_state(self) -> MeterState:
        """Return where it stands between two messages."""
        counted = self.counter.capture_state() if self.counter is not None else None
        return MeterState(
            self.topic, dict(self.known), self.best, self.last_ms, self.behind_ms, self.means.capture_state(), counted
        )
