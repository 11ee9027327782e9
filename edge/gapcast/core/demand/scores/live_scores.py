"""Live scores of the demands of devices: demands wait, by minute elapsed, for the mean of their window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from gapcast.core.arrays.array_predicates import is_any
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.arrays.device_rows import DeviceRows, rounds_of, row_index
from gapcast.core.billing.device_windows import ClosedWindow
from gapcast.core.billing.window_demands import WindowDemands
from gapcast.core.demand.demand import RUNNING
from gapcast.core.demand.scores import score_sums, scores

#: Start of the window of a device without demands.
_NONE = -1


class LiveScores:
    """Adds the demands of each window to the sums of its device once the window is over.

    They are added at the device's next demand, so that a batch may have several windows of a device. Incomplete windows
    do not count, nor do windows without a demand.
    """

    def __init__(self) -> None:
        #: By the rows of the demands, from 1 on: the waiting demands, the start of their window, and the sums.
        start = np.array(_NONE, dtype=np.int64)
        self.state = DeviceRows({"waiting": scores.initial_demands(), "start": start, "sums": scores.initial_sums()})
        #: Windows that are over, by row and start.
        self._closed: dict[int, dict[int, ClosedWindow]] = {}

    def close(self, windows: Iterable[ClosedWindow]) -> None:
        """Store ``windows``, which are over, until the next demands of their devices."""
        complete = [one for one in windows if one.is_complete]
        self.drop_closed(one.row + 1 for one in complete)
        for one in complete:
            self._closed.setdefault(one.row + 1, {})[one.start_minute] = one

    def closed_of(self, rows: Sequence[int]) -> Sequence[ClosedWindow]:
        """Return the windows that are over, for the devices with the buffer rows ``rows``."""
        if not self._closed:
            return ()
        return [one for row in dict.fromkeys(rows) for one in self._closed.get(row + 1, {}).values()]

    def drop_closed(self, rows: Iterable[int]) -> None:
        """Remove the windows of ``rows`` that are over, except the windows of waiting demands."""
        for row in self._closed.keys() & set(rows) if self._closed else ():
            start = self._start_of(row)
            of_row = self._closed[row] = {key: one for key, one in self._closed[row].items() if key == start}
            if not of_row:
                del self._closed[row]

    def record(self, rows: I64, demands: F64, last_kw: F64) -> None:
        """Store the running windows of ``demands`` ``[N, 32]`` until they are over.

        ``rows`` ``[N]`` are the rows of their devices, ``last_kw`` ``[N]`` their readings.
        """
        running = WindowDemands.from_columns(demands[:, RUNNING].T)
        window_min = running.end_minutes - running.start_minutes
        power_kw = np.array((running.so_far_kw, last_kw)).T
        waiting = score_sums.waiting(running.elapsed_min, window_min, running.p_exceed, running.limit_kw, power_kw)
        self.state.index(rows)
        starts, arrays = self.state.arrays["start"], self.state.arrays["waiting"]
        for at in rounds_of(rows):
            of, new = rows[at], running.start_minutes[at]
            index = row_index(of)
            is_new = starts[index] != new
            if is_any(is_new):
                for row in of[is_new].tolist():
                    self._score(row)
                starts[index] = new
            arrays[of, running.elapsed_min[at]] = waiting[at]
        self.drop_closed(rows.tolist())

    def _start_of(self, row: int) -> int:
        """Return the start of the window of the waiting demands of ``row``."""
        return int(self.state.arrays["start"][row]) if row < len(self.state) else _NONE

    def _score(self, row: int) -> None:
        """Add the window of ``row`` to its sums if it is over and complete; clear the waiting demands."""
        waiting = self.state.arrays["waiting"]
        closed = self._closed.get(row, {}).get(self._start_of(row))
        if closed is not None:
            window_min = np.array([closed.end_minute - closed.start_minute])
            windows = score_sums.ClosedWindows(
                np.array([closed.local_day]), window_min, np.array([closed.mean_kw]), waiting[row : row + 1]
            )
            score_sums.add(self.state.arrays["sums"][row : row + 1], windows)
        waiting[row] = np.nan

    def scores_of(self, row: int, window_min: int) -> scores.DemandScores:
        """Return the scores of the device in ``row``, whose windows have ``window_min`` minutes."""
        sums = self.state.arrays["sums"][row] if row < len(self.state) else scores.initial_sums()
        return scores.scores_of(sums, window_min)

    def all_sums(self) -> list[F64]:
        """Return the sums of all devices."""
        return list(self.state.arrays["sums"][1:])

    def forget(self, row: int) -> None:
        """Remove all state of ``row``."""
        self.state.forget(row)
        self._closed.pop(row, None)
