"""The last week of each device as means of quarter-hours: the second input of a model, built reading by reading.

The rules are defined in :mod:`gapcast.core.streams.quarters`. A ring per device holds two days more than a week, so
that a batch with many minutes of one device is forecast as if its readings had come one by one: a window never sees a
quarter that was not complete at its observed minute. If the clock is set back, the quarters from the quarter of the new
minute on are discarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.errors import StateError
from gapcast.core.readings.state_limits import MOST
from gapcast.core.streams.device_streams import Stream
from gapcast.core.streams.quarters import STEP_MIN, STEPS

#: Number of quarters of a ring: a week, and two days for batches.
WIDTH = STEPS + 2 * 24 * 60 // STEP_MIN
_EMPTY: F32 = np.empty(0, dtype=np.float32)
#: Measured bytes of the objects of a device, besides the values of its ring and of its last history.
_OBJECT_BYTES = 400
#: Columns of the state, with their kinds and numbers of dimensions: index of the device, quarters before the open one
#: (oldest first, kW, NaN if unknown), the open quarter, its sum (kW) and number of known minutes.
_COLUMNS: Mapping[str, tuple[str, int]] = {
    "device": ("iu", 1), "kw": ("f", 2), "step": ("iu", 1), "sum_kw": ("f", 1), "n_known": ("iu", 1),
}  # fmt: skip


class _DeviceWeek:
    """The quarters of one device: quarter ``q`` is at ``q % WIDTH`` of the ring, the newest one is still open.

    The history of the windows is cached: it changes with each quarter, not with each minute.
    """

    __slots__ = ("end", "history", "kw", "n_known", "step", "sum_kw")

    def __init__(self, step: int) -> None:
        self.kw = np.full(WIDTH, np.nan, dtype=np.float32)
        self.step = step
        self.sum_kw = 0.0
        self.n_known = 0
        #: The last history, and the quarter before which it ends; None if the ring has changed since.
        self.history: F32 = _EMPTY
        self.end: int | None = None

    def store_open(self) -> None:
        """Store the mean of the open quarter's known minutes so far."""
        self.end = None
        if self.n_known:
            self.kw[self.step % WIDTH] = self.sum_kw / self.n_known

    def open_step(self, step: int) -> None:
        """Close the open quarter, and open the later quarter ``step``; the quarters between them are unknown."""
        self.store_open()
        for skipped in range(max(self.step + 1, step - WIDTH), step):
            self.kw[skipped % WIDTH] = np.nan
        self.step, self.sum_kw, self.n_known = step, 0.0, 0

    def reopen_step(self, step: int) -> None:
        """Discard the quarters from ``step`` on, which is not later than the open quarter, and open ``step`` again."""
        for discarded in range(max(step, self.step - WIDTH + 1), self.step + 1):
            self.kw[discarded % WIDTH] = np.nan
        self.end = None
        self.step, self.sum_kw, self.n_known = step, 0.0, 0

    def history_before(self, end: int, n_steps: int) -> F32 | None:
        """Return the ``n_steps`` quarters before ``end``, unknown ones as the mean of the others; None without any.

        The caller must not change it.
        """
        if self.end != end or len(self.history) != n_steps:
            found = np.empty(n_steps, dtype=np.float32)
            self.copy_steps(end, found)
            unknown = np.isnan(found)
            n_known = n_steps - int(np.count_nonzero(unknown))
            if not n_known:
                return None
            if n_known < n_steps:  # as in fill_unknown, for one device
                found[unknown] = 0.0
                found[unknown] = np.add.reduce(found, dtype=np.float64) / n_known
            self.end, self.history = end, found
        return self.history

    def copy_steps(self, end: int, out: F32) -> None:
        """Copy the quarters before ``end`` into ``out`` ``[n]``, oldest first, NaN if unknown or overwritten."""
        n_steps = len(out)
        start = (end - n_steps) % WIDTH
        n_first = min(n_steps, WIDTH - start)
        out[:n_first] = self.kw[start : start + n_first]
        out[n_first:] = self.kw[: n_steps - n_first]
        n_overwritten = self.step - WIDTH - (end - n_steps) + 1
        if n_overwritten > 0:
            out[:n_overwritten] = np.nan


class WeekHistory:
    """The quarters of the devices in the first ``max_rows`` rows of :class:`gapcast.core.streams.buffer.Buffers`.

    >>> week = WeekHistory(max_rows=1)
    >>> for minute in range(40):
    ...     week.add(0, minute, 1.0 if minute < 15 else 2.0)
    >>> week.known_windows([0], [29], 3)[0][0].tolist()
    [1.5, 1.0, 2.0]
    """

    def __init__(self, max_rows: int) -> None:
        self.max_rows = max_rows
        self._weeks: dict[int, _DeviceWeek] = {}

    @property
    def n_bytes_per_device(self) -> int:
        """Approximate bytes of one device's quarters."""
        return 4 * WIDTH + _OBJECT_BYTES

    @property
    def n_prepared_bytes_per_device(self) -> int:
        """Bytes of the history prepared for a model from one device's quarters until the next one; not persisted."""
        return 4 * STEPS

    def add(self, row: int, minute: int, gap_kw: float) -> None:
        """Add a known minute of ``row``, kW: later than all earlier minutes except discarded ones."""
        step = minute // STEP_MIN
        week = self._weeks.get(row)
        if week is None:
            if row >= self.max_rows:
                return
            week = self._weeks[row] = _DeviceWeek(step)
        if step != week.step:
            week.open_step(step)
        week.sum_kw += gap_kw
        week.n_known += 1
        if minute % STEP_MIN == STEP_MIN - 1:
            week.store_open()

    def discard_from(self, row: int, minute: int) -> None:
        """Discard the quarter of ``minute`` and all later ones of ``row``: its clock was set back."""
        week = self._weeks.get(row)
        if week is not None and minute // STEP_MIN <= week.step:
            week.reopen_step(minute // STEP_MIN)

    def known_windows(self, rows: Sequence[int], minutes: Iterable[int], steps: int) -> tuple[list[F32], list[int]]:
        """Return the histories ``[steps]``, kW, of windows of ``rows`` observed at ``minutes`` (since the epoch).

        Also return the indices of devices without a known quarter. Their histories are empty; the caller must not
        change the others.
        """
        histories, unknown = [], []
        weeks = self._weeks
        for i, (row, minute) in enumerate(zip(rows, minutes, strict=True)):
            week = weeks.get(row)
            history = None if week is None else week.history_before((minute + 1) // STEP_MIN, steps)
            if history is None:
                unknown.append(i)
                history = _EMPTY
            histories.append(history)
        return histories, unknown

    def has(self, row: int) -> bool:
        """Return whether a minute of ``row`` is known."""
        return row in self._weeks

    def forget(self, row: int) -> None:
        """Remove the history of ``row``."""
        self._weeks.pop(row, None)

    def adopt(self, other: WeekHistory) -> None:
        """Continue with the histories of ``other``, which has the same rows and must not be used afterwards."""
        self._weeks = {row: week for row, week in other._weeks.items() if row < self.max_rows}

    def add_window(self, stream: Stream, context: int) -> None:
        """Add the known minutes in the window of ``stream``, ``context`` minutes, to a row without a history."""
        n_known = min(stream.observed.bit_length(), context)
        values = stream.block[stream.at, stream.end - n_known : stream.end].reshape(n_known, -1)[:, 0]
        for minute, gap_kw in enumerate(values.tolist(), start=stream.last_minute - n_known + 1):
            self.add(stream.row, minute, gap_kw)

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return a copy of the state of ``rows``; ``device`` is the index in ``rows``."""
        found = [(i, self._weeks[row]) for i, row in enumerate(rows) if row in self._weeks]
        kw = np.empty((len(found), WIDTH - 1), dtype=np.float32)
        for out, (_, week) in zip(kw, found, strict=True):
            week.copy_steps(week.step, out)
        return {
            "device": np.array([i for i, _ in found], dtype=np.int32),
            "kw": kw,
            "step": np.array([week.step for _, week in found], dtype=np.int64),
            "sum_kw": np.array([week.sum_kw for _, week in found], dtype=np.float64),
            "n_known": np.array([week.n_known for _, week in found], dtype=np.int32),
        }

    def restore_columns(self, columns: Mapping[str, NDArray[Any]], last_minute: I64) -> None:
        """Restore the state of the devices in the rows of ``last_minute`` ``[N]``, their newest minutes.

        Rows with implausible values, or with another time than the device's window, are discarded. Raises
        :class:`StateError` if the columns do not fit each other.
        """
        n = len(columns["device"]) if "device" in columns else -1
        for name, (kinds, n_dimensions) in _COLUMNS.items():
            column = columns.get(name)
            if column is None or column.dtype.kind not in kinds or column.ndim != n_dimensions or len(column) != n:
                msg = f"the week's column {name} is missing, or of another kind or length"
                raise StateError(msg)
        device, kw, step = columns["device"], columns["kw"], columns["step"]
        sum_kw, n_known = columns["sum_kw"], columns["n_known"]
        with np.errstate(invalid="ignore"):
            sound = (
                (device >= 0)
                & (device < min(len(last_minute), self.max_rows))
                & (np.isnan(kw) | (np.abs(kw) <= MOST)).all(axis=1)
                & (np.abs(sum_kw) <= STEP_MIN * MOST)
                & (n_known > 0)
                & (n_known <= STEP_MIN)
            )
        for i in np.flatnonzero(sound).tolist():
            row = int(device[i])
            if int(step[i]) != int(last_minute[row]) // STEP_MIN:
                continue
            week = self._weeks[row] = _DeviceWeek(int(step[i]))
            newest = kw[i, -(WIDTH - 1) :]
            week.kw[(week.step - len(newest) + np.arange(len(newest))) % WIDTH] = newest
            week.sum_kw, week.n_known = float(sum_kw[i]), int(n_known[i])
            week.store_open()


def stacked(histories: Sequence[F32]) -> F32:
    """Return ``histories``, each ``[steps]``, as ``[N, steps]``; a view if there is only one."""
    return histories[0][np.newaxis] if len(histories) == 1 else np.concatenate(histories).reshape(len(histories), -1)
