"""The newest demand of each device, as one row of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand.demand import F64, SOURCES, Demand, Demands, WindowDemands
from gapcast.core.grid import LATEST_MS
from gapcast.core.learning.device_rows import DeviceRows
from gapcast.core.predictor import ModelIdentity
from gapcast.core.state_limits import LAST_MINUTE
from gapcast.core.window import I64

NEWEST = "newest"
#: Columns: minute and time of issue (ms), those of both windows, risk, month's peak, fuse, and probability of the fuse.
_OBSERVED, _ISSUED, _FIRST = 0, 1, 2
_WINDOW = tuple(WindowDemands.__dataclass_fields__)
_INTEGERS = ("start_minutes", "end_minutes", "elapsed_min", "n_known", "sources")
_OTHERS = ("risk", "month_peak_kw", "fuse_kw", "p_fuse")
#: Those that may be NaN, of windows and beside them.
_NULLABLE = ("so_far_kw", "limit_kw", "month_peak_kw", "fuse_kw", "p_fuse")
N_COLUMNS = _FIRST + 2 * len(_WINDOW) + len(_OTHERS)
_NAMES = ("observed", "issued", *_WINDOW, *_WINDOW, *_OTHERS)
_SOURCE_COLUMNS = [i for i, name in enumerate(_NAMES) if name == "sources"]
_INTEGER_COLUMNS = [_OBSERVED, _ISSUED, *(i for i, name in enumerate(_NAMES) if name in _INTEGERS)]
_REQUIRED_COLUMNS = [i for i, name in enumerate(_NAMES) if name not in _NULLABLE]
#: The value of the minute of a device without a demand.
_NO_MINUTE = -1.0


def initial_newest() -> F64:
    """Return the row ``[N_COLUMNS]`` of a device without a demand."""
    row = np.full(N_COLUMNS, np.nan)
    row[_OBSERVED] = _NO_MINUTE
    return row


def store_newest(state: DeviceRows, rows: I64, demands: Demands, values: F64) -> None:
    """Store ``demands`` in ``rows`` of ``state``; of a device that is there several times, the last one.

    ``values`` ``[2, 13, N]`` are the columns of both of their windows.
    """
    columns = np.empty((N_COLUMNS, len(rows)))
    columns[_OBSERVED], columns[_ISSUED] = demands.observed_minutes, demands.issued_at_ms
    columns[_FIRST : -len(_OTHERS)] = values.reshape(-1, len(rows))
    for i, name in enumerate(_OTHERS, start=N_COLUMNS - len(_OTHERS)):
        columns[i] = getattr(demands, name)
    state.arrays[NEWEST][rows] = columns.T


def stamp_newest(state: DeviceRows, row: int, issued_at_ms: int) -> None:
    """Set the time of issue of the newest demand of ``row``."""
    state.index(np.array([row]))
    state.arrays[NEWEST][row, _ISSUED] = issued_at_ms


def read_newest(state: DeviceRows, row: int, device: str, model: ModelIdentity) -> Demand | None:
    """Return the newest demand of ``device``, which has ``row``; None without one."""
    if row >= len(state) or state.arrays[NEWEST][row, _OBSERVED] < 0:
        return None
    columns = state.arrays[NEWEST][row : row + 1].T.copy()
    n = len(_WINDOW)
    running, following = (_windows(columns[first : first + n]) for first in (_FIRST, _FIRST + n))
    others = columns[_FIRST + 2 * n :]
    observed = columns[_OBSERVED].astype(np.int64)
    return Demands(model, int(columns[_ISSUED, 0]), [device], observed, running, following, *others)[0]


def is_sound_newest(rows: NDArray[Any] | None, n_rows: int) -> NDArray[np.bool_]:
    """Return which of the stored ``rows``, which should be ``[n_rows, N_COLUMNS]``, can be read.

    Rows of another shape are not checked here: restoring them raises an error.
    """
    if rows is None or rows.shape != (n_rows, N_COLUMNS) or rows.dtype.kind != "f":
        return np.ones(n_rows, dtype=np.bool_)
    integers, numbers = rows[:, _INTEGER_COLUMNS], rows[:, _FIRST:]
    conditions = (
        (integers >= 0) & (integers <= LATEST_MS),
        rows[:, _SOURCE_COLUMNS] < len(SOURCES),
        rows[:, [_OBSERVED]] <= LAST_MINUTE,
        (np.abs(numbers) <= LATEST_MS) | np.isnan(numbers),
        np.isfinite(rows[:, _REQUIRED_COLUMNS]),
    )
    sound = np.concatenate(conditions, axis=1).all(axis=1)
    return np.asarray(sound | (rows[:, _OBSERVED] == _NO_MINUTE), dtype=np.bool_)


def _windows(columns: F64) -> WindowDemands:
    return WindowDemands(
        **{
            name: column.astype(np.int64) if name in _INTEGERS else column
            for name, column in zip(_WINDOW, columns, strict=True)
        }
    )
