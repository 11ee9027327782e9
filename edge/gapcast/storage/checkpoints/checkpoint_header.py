"""The JSON part of a checkpoint, and the format of readings and meters in it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer

from gapcast.core.plans.plan_tracker import TrackerState
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import MeterState
from gapcast.core.windows.window import Padding


def _reading_members(reading: Reading) -> tuple[object, ...]:
    return reading if reading.is_filled else reading[:-1]


def _meter_members(meter: MeterState) -> tuple[object, ...]:
    return meter._replace(open_minute=meter.open_minute[:-1])  # type: ignore[arg-type]  # only for writing


#: Readings and meters in a form that versions without filled minutes can read: additional members are in other keys.
StoredReading = Annotated[Reading, PlainSerializer(_reading_members)]
StoredMeter = Annotated[MeterState, PlainSerializer(_meter_members)]


class CheckpointHeader(BaseModel):
    """The JSON part of a checkpoint; ``filled_ms`` is the filled time of meters' open minutes, by topic, if not 0."""

    model_config = ConfigDict(defer_build=True)

    version: int
    context: int
    padding: Padding
    channels: tuple[str, ...]
    model: str
    devices: list[str]
    held: list[StoredReading]
    late_runs: list[list[StoredReading]]
    meters: list[StoredMeter] = []
    filled_ms: dict[str, int] = {}
    time_zone: str = ""
    more: list[str] = []
    submeters: dict[str, tuple[str, ...]] = {}
    plans: list[TrackerState] = []
    latest_planned: list[tuple[int, float, float]] = []
    imported: list[str] = []

    def with_filled(self, meter: MeterState) -> MeterState:
        """Return ``meter`` with the filled time of its open minute."""
        filled_ms = self.filled_ms.get(meter.topic, 0)
        return meter._replace(open_minute=meter.open_minute._replace(filled_ms=filled_ms))
