"""What meters said, and where each stands between two messages: what an open minute needs to outlive the process."""

from __future__ import annotations

from typing import NamedTuple


class SampleValues(NamedTuple):
    """Values at an instant: power (kW), then the other channels; None where nothing is known."""

    at_ms: int
    values: tuple[float | None, ...]


class OpenMinute(NamedTuple):
    """Where :class:`~gapcast.core.meters.minutes.MinuteMeans` stands: its fields, by the same names."""

    minute: int
    through_ms: int
    sums: tuple[float, ...]
    covered_ms: tuple[int, ...]
    current: SampleValues | None
    pending: tuple[SampleValues, ...]
    late_run: tuple[SampleValues, ...]
    newest_ms: int | None


class Sample(NamedTuple):
    """What one message of a meter said of the minute that is open.

    ``at_ms`` is by the meter's clock, None where the message told terms of a sum and no value. ``terms`` are in the
    meter's unit, by path, None where one is known no longer; ``measured`` are the other features, in theirs.
    """

    topic: str
    at_ms: int | None
    terms: dict[str, float | None]
    measured: dict[str, float]


class MeterState(NamedTuple):
    """Where a meter stands: the newest terms of its value, its clock, its open minute, its last count (kWh)."""

    topic: str
    known: dict[str, float]
    best: int
    last_ms: int | None
    behind_ms: int
    open_minute: OpenMinute
    counted: tuple[int, tuple[float, ...]] | None
