"""The results of a batch of readings, from which the engine's other calls continue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gapcast.core.billing.device_windows import ClosedWindow, WindowState
from gapcast.core.errors import StateError
from gapcast.core.plans.plans import PlannedPart
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.streams.stream_windows import RestartedStream, SetBackStream

#: The result of a reading in metrics.
Result = Literal["accepted", "duplicate", "late", "rejected"]
_RESULT: dict[ReadingStatus, Result] = {
    ReadingStatus.READY: "accepted",
    ReadingStatus.FIRST: "accepted",
    ReadingStatus.DUPLICATE: "duplicate",
    ReadingStatus.LATE: "late",
    ReadingStatus.FULL: "rejected",
    ReadingStatus.INCOMPLETE: "rejected",
    ReadingStatus.FAILED: "rejected",
}

#: Statuses of readings that a journal does not need: they changed nothing or raised an error.
_NO_EFFECT = (ReadingStatus.DUPLICATE, ReadingStatus.FULL, ReadingStatus.INCOMPLETE, ReadingStatus.FAILED)

#: Statuses of readings that are in a window.
_IN_WINDOW = (ReadingStatus.READY, ReadingStatus.FIRST)


@dataclass(slots=True)
class AcceptedBatch:
    """The results of a batch of readings, and the windows to forecast; or some of the windows alone.

    ``windows`` is ``[N, context]``, kW, or ``[N, context, C]`` if the model takes C measured features; ``devices``,
    ``rows`` (in :class:`Buffers`), ``minutes`` and ``n_observed`` describe the windows. ``statuses[i]`` is the status
    of reading ``i``, ``forecast_indices[i]`` the index of its window and forecast, or -1. ``first_rows`` are the rows
    of readings that were the first of a history and have no window, ``disproved`` held readings that turned out to be
    clock errors. ``failures`` has the index of each reading that raised an unexpected exception, and the exception: the
    state of its device may be damaged. ``filled`` are the indices of the windows whose newest reading is a filled
    minute and so no outcome. ``planned`` is the planned power of windows with announced loads, by index; it is
    subtracted from the windows. ``billing`` is the running billing window after the newest reading of windows of
    devices with a demand, by index; ``closed`` are the billing windows that the batch closed, ``restarted_streams`` the
    streams that it set back, or restarted after too many gaps. Treat as immutable; it is not frozen because that
    doubles the time to create it, and every reading that arrives alone creates one.
    """

    windows: NDArray[np.float32]
    devices: list[str]
    rows: list[int]
    minutes: list[int]
    n_observed: list[int]
    statuses: list[ReadingStatus] = field(default_factory=list)
    forecast_indices: list[int] = field(default_factory=list)
    first_rows: list[int] = field(default_factory=list)
    disproved: list[Reading] = field(default_factory=list)
    counts: dict[Result, int] = field(default_factory=dict)
    failures: list[tuple[int, Exception]] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)
    planned: dict[int, PlannedPart] = field(default_factory=dict)
    billing: dict[int, WindowState] = field(default_factory=dict)
    closed: list[ClosedWindow] = field(default_factory=list)
    restarted_streams: list[RestartedStream] = field(default_factory=list)

    def select(self, indices: Sequence[int]) -> AcceptedBatch:
        """Return only the windows with these rising ``indices``, without the results of readings."""
        new_index = {old: new for new, old in enumerate(indices)}
        return AcceptedBatch(
            self.windows[np.asarray(indices, dtype=np.intp)],
            [self.devices[i] for i in indices],
            [self.rows[i] for i in indices],
            [self.minutes[i] for i in indices],
            [self.n_observed[i] for i in indices],
            filled=[new_index[i] for i in self.filled if i in new_index],
            planned={new_index[i]: part for i, part in self.planned.items() if i in new_index},
            billing={new_index[i]: state for i, state in self.billing.items() if i in new_index},
        )

    def set_back_devices(self) -> dict[str, int]:
        """Return the devices with a window whose streams late readings set back, with their rows.

        Their windows begin again, so nothing can be learned from the outcomes of means that wait. This also holds after
        one reading with a wrong time in the future, where the newest window is later than the one before.
        """
        if not self.restarted_streams:  # most batches
            return {}
        devices = {one.device for one in self.restarted_streams if isinstance(one, SetBackStream)}
        return {device: row for device, row in zip(self.devices, self.rows, strict=True) if device in devices}

    def uncontrolled_readings(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return :meth:`window_readings` minus the planned loads in each reading's power, as used for learning."""
        if not self.planned:
            return self.window_readings(readings)
        found = []
        for reading, status, index in zip(readings, self.statuses, self.forecast_indices, strict=True):
            if status in _IN_WINDOW:
                part = self.planned.get(index)
                found.append(reading if part is None else reading._replace(gap_kw=reading.gap_kw - part.subtracted_kw))
        return found

    def raise_failure(self) -> None:
        """Raise the first of ``failures``, if any: for callers that need the whole batch."""
        for _, error in self.failures:
            raise error

    def state_changing_readings(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return the batch's ``readings`` that changed the state, which a journal needs."""
        if "duplicate" not in self.counts and "rejected" not in self.counts:
            return readings
        return [one for one, status in zip(readings, self.statuses, strict=True) if status not in _NO_EFFECT]

    def window_readings(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return the batch's ``readings`` that entered a window; each was the newest of its device."""
        if self.counts.get("accepted", 0) == len(readings):
            return readings
        return [one for one, status in zip(readings, self.statuses, strict=True) if status in _IN_WINDOW]


def none_accepted(readings: Sequence[Reading]) -> AcceptedBatch:
    """Return the result for ``readings`` none of which could be accepted: all failed, and there is no window."""
    n, windows = len(readings), np.empty((0, 0), dtype=np.float32)
    counts: dict[Result, int] = {"rejected": n} if n else {}
    return AcceptedBatch(windows, [], [], [], [], [ReadingStatus.FAILED] * n, [-1] * n, counts=counts)


def count_results(statuses: Sequence[ReadingStatus], buffers: Buffers) -> tuple[list[Reading], dict[Result, int]]:
    """Return the held readings that were disproved since the last call, and the number of readings by result."""
    counts: dict[Result, int] = {}
    if n_ready := statuses.count(ReadingStatus.READY):
        counts["accepted"] = n_ready
    if n_ready < len(statuses):  # in most batches all are READY
        for status in set(statuses) - {ReadingStatus.READY, ReadingStatus.HELD}:  # counted once confirmed or disproved
            result = _RESULT[status]
            counts[result] = counts.get(result, 0) + statuses.count(status)
    disproved, buffers.disproved = buffers.disproved, []
    if disproved:
        counts["rejected"] = counts.get("rejected", 0) + len(disproved)
    if buffers.n_confirmed:
        counts["accepted"] = counts.get("accepted", 0) + buffers.n_confirmed
        buffers.n_confirmed = 0
    return disproved, counts


def raise_if_device_failed(device: str, readings: Sequence[Reading], failures: Sequence[tuple[int, Exception]]) -> None:
    """Raise :class:`StateError` if an earlier reading of ``device`` in the batch failed."""
    if any(readings[i].device == device for i, _ in failures):
        msg = f"an earlier reading of {device} in the same batch failed"
        raise StateError(msg)
