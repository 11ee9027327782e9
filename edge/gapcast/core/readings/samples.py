"""Samples of meters, and the state of a meter between two messages, which is persisted so that no minute is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class SampleValues(NamedTuple):
    """Values at an instant: power (kW), then the other channels; None for an unknown value."""

    at_ms: int
    values: tuple[float | None, ...]


class OpenMinute(NamedTuple):
    """The state of :class:`~gapcast.core.meters.minutes.MinuteMeans` and its sums, in fields of the same names."""

    minute: int
    through_ms: int
    sums: tuple[float, ...]
    covered_ms: tuple[int, ...]
    current: SampleValues | None
    pending: tuple[SampleValues, ...]
    late_run: tuple[SampleValues, ...]
    newest_ms: int | None
    filled_ms: int = 0


class Sample(NamedTuple):
    """One message of a meter during its open minute.

    ``at_ms`` is the time by the meter's clock, None if the message had terms of a sum but no complete value. ``terms``
    are in the meter's unit, by path, None for a term that is no longer known; ``measured`` are the other features, in
    their units. A sample without terms records that the clock closed a minute without a mean at ``at_ms``.
    """

    topic: str
    at_ms: int | None
    terms: Mapping[str, float | None]
    measured: dict[str, float]


class MeterState(NamedTuple):
    """The state of a meter: the newest terms of its value, its clock, its open minute, its last counts (kWh).

    A term is None if it is unknown; only if all are, so that the paths tell which sum is used.
    """

    topic: str
    known: dict[str, float | None]
    best: int
    last_ms: int | None
    behind_ms: int
    open_minute: OpenMinute
    counted: tuple[int, tuple[float, ...]] | None


class SampleCount(NamedTuple):
    """The number of a meter's messages with a usable value since the start.

    ``next_mean_ms`` is the time by the gateway's clock at which the next minute mean is due; None if unknown. ``noun``
    is what a message holds: a sample, or a reading.
    """

    device: str
    n_samples: int
    next_mean_ms: int | None
    noun: str = "sample"
