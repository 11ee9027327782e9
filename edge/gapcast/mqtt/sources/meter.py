"""The state of one meter of a source between its messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from gapcast.core.meters.energy_counter import EnergyCounter
from gapcast.core.meters.minutes import MinuteMeans
from gapcast.core.meters.source import Source, sum_terms
from gapcast.core.readings.samples import MeterState, Sample, SampleCount


@dataclass(slots=True)
class Meter:
    """The state of a meter between its messages."""

    name: str
    topic: str
    source: Source
    means: MinuteMeans
    counter: EnergyCounter | None
    #: The newest value of each term, by path.
    known: dict[str, float] = field(default_factory=dict)
    #: Index of the first of the source's sums that the meter has sent; later sums are then ignored.
    best: int = 0
    last_ms: int | None = None
    #: The time of the newest sample with some terms of a sum only, and its terms from all messages of this time.
    newest_terms: tuple[int | None, frozenset[str]] = (None, frozenset())
    #: The topics in the cache of routes that lead to it.
    routed_topics: list[str] = field(default_factory=list)
    #: The topic of its first value, empty if there is none, or its terms are on several topics.
    value_topic: str = ""
    #: By how much its clock is behind the gateway's.
    behind_ms: int = 0
    n_slow: int = 0
    #: Filled minutes since the stream began to be filled (0: not filled), and measured minutes in a row since the last
    #: filled one.
    n_filled: int = 0
    n_measured: int = 0
    #: Messages with a usable value since the start.
    n_samples: int = 0
    #: When the meter's minute is due to be closed, by the gateway's clock; infinity if no minute is open.
    awaited_ms: float = inf

    @property
    def sends_samples(self) -> bool:
        """Whether the meter sends samples, which are aggregated to minutes."""
        return self.source.kind == "samples"

    @property
    def has_samples(self) -> bool:
        """Whether the meter has samples, or terms of a value, to be persisted."""
        return bool(self.known) or self.means.newest_ms is not None

    @property
    def has_sent_values(self) -> bool:
        """Whether the meter has sent a value, or a term of it: a value that is a minute leaves no sample."""
        return self.n_samples > 0 or self.has_samples

    def update_terms(self, terms: Mapping[str, float | None]) -> float | None:
        """Update the given terms; return the resulting value, None if another term is still unknown.

        Terms that arrive in several messages, such as phases, are summed from the newest value of each.
        """
        for path, value in terms.items():
            if value is None:
                self.known.pop(path, None)
            else:
                self.known[path] = value
        sums = self.source.value
        if not sums:
            return self.known.get("")
        for i, one in enumerate(sums[: self.best]):
            if any(term.path in terms for term in one):
                self.best = i
                break
        return sum_terms(sums[self.best], self.known)

    def is_partial(self, sample: Sample) -> bool:
        """Return whether a sample has only some terms of its sum."""
        return bool(self.source.value) and len(sample.terms) < len(self.source.value[self.best])

    def record_terms(self, sample: Sample) -> None:
        """Record the terms of a sample that other messages of its time complete."""
        if self.is_partial(sample):
            at_ms, terms = self.newest_terms
            self.newest_terms = sample.at_ms, frozenset(sample.terms).union(terms if at_ms == sample.at_ms else ())

    def has_new_terms(self, sample: Sample) -> bool:
        """Return whether no message of the sample's time had its terms, and another had others."""
        at_ms, terms = self.newest_terms
        return at_ms == sample.at_ms and self.is_partial(sample) and terms.isdisjoint(sample.terms)

    @property
    def missing_terms(self) -> str:
        """The terms of the value that have arrived, and those that have not; empty unless there are both."""
        paths = [term.path for term in self.source.value[self.best]] if self.source.value else []
        missing = [path for path in paths if path not in self.known]
        if not missing or len(missing) == len(paths):
            return ""
        received = ", ".join(path for path in paths if path in self.known)
        return f"received {received}; missing {', '.join(missing)}"

    @property
    def sample_count(self) -> SampleCount:
        """The messages with a usable value so far, and when the next minute mean is due."""
        if not self.sends_samples:
            return SampleCount(self.name, self.n_samples, None, "reading")
        due_ms = self.means.next_mean_due_ms + self.behind_ms
        return SampleCount(self.name, self.n_samples, None if due_ms == inf else round(due_ms))

    def capture_state(self) -> MeterState:
        """Return the meter's state between two messages; without a known term, those of the used sum are None."""
        counted = self.counter.capture_state() if self.counter is not None else None
        known: dict[str, float | None] = {**self.known}
        if not known and self.source.value:
            known = dict.fromkeys(term.path for term in self.source.value[self.best])
        return MeterState(
            self.topic, known, self.best, self.last_ms, self.behind_ms, self.means.capture_state(), counted
        )
