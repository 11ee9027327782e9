"""The stored state of the demands of devices: the newest demand, the learned state, and the live scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.billing.device_windows import DeviceWindows, limit_of
from gapcast.core.billing.options import LimitSource
from gapcast.core.billing.window_demands import INTEGERS, SOURCES, WINDOW_COLUMNS
from gapcast.core.demand.demand import FIRST, FUSE, ISSUED, N_COLUMNS, NAMES, OBSERVED, RISK, Demand, Demands
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.demand.scores.live_scores import LiveScores
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.readings.state_limits import LAST_MINUTE
from gapcast.core.time_grid import LATEST_MS

NEWEST = "newest"
#: The columns that may be NaN, in and outside of windows.
_NULLABLE = ("so_far_kw", "limit_kw", "month_peak_kw", "fuse_kw", "p_fuse")
_SOURCE_COLUMNS = [i for i, name in enumerate(NAMES) if name == "sources"]
_INTEGER_COLUMNS = [OBSERVED, ISSUED, *(i for i, name in enumerate(NAMES) if name in INTEGERS)]
_REQUIRED_COLUMNS = [i for i, name in enumerate(NAMES) if name not in _NULLABLE]
_RUNNING_COLUMNS = [
    FIRST + WINDOW_COLUMNS.index(name) for name in ("start_minutes", "end_minutes", "sources", "limit_kw")
]
#: The observed minute of a device without a demand.
_NO_MINUTE = -1.0


def initial_newest() -> F64:
    """Return the row ``[N_COLUMNS]`` of a device without a demand."""
    row = np.full(N_COLUMNS, np.nan)
    row[OBSERVED] = _NO_MINUTE
    return row


def stamp_newest(state: DeviceRows, row: int, issued_at_ms: int) -> None:
    """Set the time of issue of the newest demand in ``row``."""
    state.grow(row + 1)
    state.arrays[NEWEST][row, ISSUED] = issued_at_ms


def read_newest(state: DeviceRows, row: int, device: str, model: ModelIdentity) -> Demand | None:
    """Return the newest demand of ``device`` in ``row``; None without one."""
    if not has_newest(state, row):
        return None
    columns = state.arrays[NEWEST][row : row + 1].copy()
    return Demands(model, int(columns[0, ISSUED]), [device], columns)[0]


def has_newest(state: DeviceRows, row: int) -> bool:
    """Return whether ``row`` has a demand."""
    return row < len(state) and bool(state.arrays[NEWEST][row, OBSERVED] >= 0)


def is_sound_newest(rows: NDArray[Any] | None, n_rows: int) -> NDArray[np.bool_]:
    """Return which of the stored ``rows``, expected to be ``[n_rows, N_COLUMNS]``, are valid.

    Rows of another shape are not checked here: restoring them raises an error.
    """
    if rows is None or rows.shape != (n_rows, N_COLUMNS) or rows.dtype.kind != "f":
        return np.ones(n_rows, dtype=np.bool_)
    integers, numbers = rows[:, _INTEGER_COLUMNS], rows[:, FIRST:]
    conditions = (
        (integers >= 0) & (integers <= LATEST_MS),
        rows[:, _SOURCE_COLUMNS] < len(SOURCES),
        rows[:, [OBSERVED]] <= LAST_MINUTE,
        (np.abs(numbers) <= LATEST_MS) | np.isnan(numbers),
        np.isfinite(rows[:, _REQUIRED_COLUMNS]),
    )
    sound = np.concatenate(conditions, axis=1).all(axis=1)
    return np.asarray(sound | (rows[:, OBSERVED] == _NO_MINUTE), dtype=np.bool_)


def has_options_of(row: F64, windows: DeviceWindows) -> bool:
    """Return whether the sound demand ``row`` agrees with those options of ``windows`` that it contains.

    Window, fuse, risk, and the source of the limit must be the same, and a fixed limit too. A limit that was set at run
    time replaces any configured one, and a month's peak may have been corrected since, but not below ``floor_kw``.
    ``imports_only`` is not among them: see :func:`~gapcast.core.demand.state.stored_windows.has_other_imports`.
    """
    start_minute, end_minute, source, limit_kw = row[_RUNNING_COLUMNS].tolist()
    options, window = windows.options, windows.calendar.window_at(int(min(start_minute, LAST_MINUTE)))
    configured_kw, configured = limit_of(window, options, windows.peaks, None)
    has_source = source in {SOURCES.index(LimitSource.SET), configured}
    has_limit = source != SOURCES.index(LimitSource.FIXED) or limit_kw == configured_kw
    has_floor = source != SOURCES.index(LimitSource.MONTH_PEAK) or limit_kw >= options.floor_kw
    fuse_kw = np.nan if options.fuse_kw is None else options.fuse_kw
    has_fuse = np.array_equal(row[[FUSE, RISK]], [fuse_kw, options.risk], equal_nan=True)
    return window[:2] == (start_minute, end_minute) and has_source and has_limit and has_floor and has_fuse


class DemandState:
    """The state of each device, in the rows from 1 on, as in the state of the outlooks."""

    def __init__(self, power: RemainingPower) -> None:
        #: The distributions of the remaining power, with their learned state.
        self.power = power
        #: The newest demands.
        self.newest = DeviceRows({NEWEST: initial_newest()})
        #: The live scores.
        self.live = LiveScores()

    def by_prefix(self) -> dict[str, DeviceRows]:
        """Return the parts of the state that are valid for one outlook model, by the prefix of their columns."""
        return {"": self.newest, "power/": self.power.state, "live/": self.live.state}

    def adopt(self, before: DemandState) -> None:
        """Continue with the state of ``before``, which must not be used afterwards."""
        self.newest, self.power.state, self.live = before.newest, before.power.state, before.live

    def forget(self, row: int) -> None:
        """Remove all state of the device with the buffer row ``row``."""
        self.newest.forget(row + 1)
        self.power.state.forget(row + 1)
        self.live.forget(row + 1)
