"""Converts the running windows and month's peaks of devices to columns of the stored state, and restores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gapcast.core.billing.billing_windows import BillingCalendar
from gapcast.core.billing.device_windows import DeviceWindows, WindowBeforeJump
from gapcast.core.billing.infeasible_limit import LowestWindow
from gapcast.core.billing.month_peaks import N_REPLACED, DayPeak, ReplacedPeak
from gapcast.core.billing.options import WINDOW_MINUTES
from gapcast.core.readings.state_limits import LAST_MINUTE, MOST
from gapcast.core.time_grid import DAY_MIN

_DAYS = 31
_LONGEST_MIN = WINDOW_MINUTES[-1]
_LAST_MONTH = 2_200 * 12
#: The key of the active times in state of versions that did not store it.
_UNKNOWN_TIMES = -1
#: Whether exported power counted as 0 (0 or 1), in state of versions that did not store it.
_UNKNOWN_IMPORTS = -1
#: Kind, shape after the device, minimum and maximum of the columns of windows. Columns of peaks may have NaN.
STORED_COLUMNS: Mapping[str, tuple[str, tuple[int, ...], float, float]] = {
    "start": ("i", (), 0, LAST_MINUTE + _LONGEST_MIN),
    "sum_kw": ("f", (), -MOST * _LONGEST_MIN, MOST * _LONGEST_MIN),
    "n_known": ("i", (), 0, _LONGEST_MIN),
    "window_min": ("i", (), WINDOW_MINUTES[0], _LONGEST_MIN),
    "month": ("i", (), -1, _LAST_MONTH),
    "peak_kw": ("f", (_DAYS,), -MOST, MOST),
    "peak_start": ("i", (_DAYS,), -1, LAST_MINUTE),
    "lowest_n": ("i", (), 0, DAY_MIN),
    "lowest_kw": ("f", (), -MOST, MOST),
    "lowest_before_kw": ("f", (), -MOST, MOST),
    "jump_from": ("i", (), -1, LAST_MINUTE),
    "jump_to": ("i", (), -1, LAST_MINUTE),
    "jump_sum_kw": ("f", (), -MOST * _LONGEST_MIN, MOST * _LONGEST_MIN),
    "jump_n_known": ("i", (), 0, _LONGEST_MIN),
    "replaced_kw": ("f", (N_REPLACED,), -MOST, MOST),
    "replaced_start": ("i", (N_REPLACED,), -1, LAST_MINUTE),
    "times_key": ("i", (), _UNKNOWN_TIMES, 2**32 - 1),
    "imports_only": ("i", (), _UNKNOWN_IMPORTS, 1),
}
#: Columns of peaks, and the columns of their windows: NaN and -1 without a peak.
STORED_PEAKS = {"peak_kw": "peak_start", "replaced_kw": "replaced_start"}
#: Initial columns for state of versions without lowest windows (the first), without jumps (the next two), without
#: active times, and without the option ``imports_only``.
_WITHOUT_LOWEST: Mapping[str, ArrayLike] = {"lowest_n": 0, "lowest_kw": MOST, "lowest_before_kw": -MOST}
_WITHOUT_JUMP: Mapping[str, ArrayLike] = {"jump_from": -1, "jump_to": -1, "jump_sum_kw": 0.0, "jump_n_known": 0}
_WITHOUT_REPLACED: Mapping[str, ArrayLike] = {
    "replaced_kw": np.full(N_REPLACED, np.nan), "replaced_start": np.full(N_REPLACED, -1)
}  # fmt: skip
_WITHOUT_TIMES: Mapping[str, ArrayLike] = {"times_key": _UNKNOWN_TIMES}
_WITHOUT_IMPORTS: Mapping[str, ArrayLike] = {"imports_only": _UNKNOWN_IMPORTS}
_NO_JUMP = WindowBeforeJump(-1, -1, 0.0, 0)

Columns = Mapping[str, NDArray[Any]]


def with_later_columns(columns: Columns, n: int) -> Columns:
    """Return ``columns`` of ``n`` devices, with initial values for the columns that an older version did not store."""
    for later in (_WITHOUT_LOWEST, {**_WITHOUT_JUMP, **_WITHOUT_REPLACED}, _WITHOUT_TIMES, _WITHOUT_IMPORTS):
        if not later.keys() & columns.keys():
            columns = {**columns, **{name: np.full((n, *np.shape(value)), value) for name, value in later.items()}}
    return columns


def window_columns(windows: Sequence[DeviceWindows]) -> dict[str, NDArray[Any]]:
    """Return the columns of the running windows of devices and their month's peaks."""
    n = len(windows)
    peak_kw, peak_start = np.full((n, _DAYS), np.nan), np.full((n, _DAYS), -1, dtype=np.int64)
    replaced_kw, replaced_start = np.full((n, N_REPLACED), np.nan), np.full((n, N_REPLACED), -1, dtype=np.int64)
    jumps = [one.before_jump or _NO_JUMP for one in windows]
    for i, one in enumerate(windows):
        for day, peak in one.peaks.by_day.items():
            peak_kw[i, day - 1], peak_start[i, day - 1] = peak
        for at, replaced in enumerate(one.peaks.replaced):
            replaced_kw[i, at], replaced_start[i, at] = replaced.peak
    return {
        "start": np.array([one.window.start_minute for one in windows], dtype=np.int64),
        "sum_kw": np.array([one.sum_kw for one in windows], dtype=np.float64),
        "n_known": np.array([one.n_known for one in windows], dtype=np.int64),
        "window_min": np.array([one.options.window_min for one in windows], dtype=np.int64),
        "month": np.array([one.peaks.month for one in windows], dtype=np.int64),
        "peak_kw": peak_kw,
        "peak_start": peak_start,
        "lowest_n": np.array([one.lowest.n for one in windows], dtype=np.int64),
        "lowest_kw": np.array([one.lowest.newest_kw for one in windows], dtype=np.float64),
        "lowest_before_kw": np.array([one.lowest.before_kw for one in windows], dtype=np.float64),
        "jump_from": np.array([jump.newest_minute for jump in jumps], dtype=np.int64),
        "jump_to": np.array([jump.next_minute for jump in jumps], dtype=np.int64),
        "jump_sum_kw": np.array([jump.sum_kw for jump in jumps], dtype=np.float64),
        "jump_n_known": np.array([jump.n_known for jump in jumps], dtype=np.int64),
        "replaced_kw": replaced_kw,
        "replaced_start": replaced_start,
        "times_key": np.array([one.calendar.times_key for one in windows], dtype=np.int64),
        "imports_only": np.array([one.options.imports_only for one in windows], dtype=np.int64),
    }


def has_other_times(calendar: BillingCalendar, columns: Columns, i: int) -> bool:
    """Return whether other windows were active than by ``calendar`` when the ``i``-th of ``columns`` was stored."""
    return columns["times_key"][i] not in (_UNKNOWN_TIMES, calendar.times_key)


def has_other_imports(one: DeviceWindows, columns: Columns, i: int) -> bool:
    """Return whether the ``i``-th of ``columns`` was stored with another ``imports_only`` than that of ``one``."""
    return columns["imports_only"][i] not in (_UNKNOWN_IMPORTS, one.options.imports_only)


def restore_windows(one: DeviceWindows, columns: Columns, i: int, last_minute: int) -> None:
    """Restore the ``i``-th of ``columns`` into ``one``, whose running window follows ``last_minute``.

    A stored window other than the running one is discarded, and so are peaks of another month or window length. If the
    active times or the zone have changed, peaks are those of their new days, peaks outside of the new times are
    discarded, and the lowest window begins again.
    """
    if columns["window_min"][i] != one.options.window_min:
        return
    has_changed = has_other_times(one.calendar, columns, i)
    if not has_changed:
        lowest = (columns[name][i].item() for name in _WITHOUT_LOWEST)
        one.lowest = LowestWindow(*lowest)
    start = one.window.start_minute
    n_known = int(columns["n_known"][i])
    if columns["start"][i] == start and n_known <= last_minute + 1 - start:
        has_imports = columns["imports_only"][i] == 1
        if has_imports == one.options.imports_only or n_known != one.n_known:  # a sum of the other kind is not used
            one.sum_kw, one.n_known = float(columns["sum_kw"][i]), n_known
    if columns["month"][i] == one.window.month:
        kw, starts = columns["peak_kw"][i].tolist(), columns["peak_start"][i].tolist()
        days = enumerate(zip(kw, starts, strict=True), start=1)
        one.peaks.by_day = {day: DayPeak(*peak) for day, peak in days if 0 <= peak[1] < start}
        kw, starts = columns["replaced_kw"][i].tolist(), columns["replaced_start"][i].tolist()
        replaced = [DayPeak(*peak) for peak in zip(kw, starts, strict=True) if 0 <= peak[1] < start]
        window_at = one.calendar.window_at
        one.peaks.replaced = tuple(ReplacedPeak.from_window(window_at(peak.start_minute), peak) for peak in replaced)
        if has_changed:
            one.peaks.change_times(window_at)
    jump = WindowBeforeJump(*(columns[name][i].item() for name in _WITHOUT_JUMP))
    if _is_sound_jump(jump, one.calendar, last_minute):
        one.before_jump = jump._replace(sum_kw=one.options.counted_kw(jump.sum_kw))
    one.refresh()


def _is_sound_jump(jump: WindowBeforeJump, calendar: BillingCalendar, last_minute: int) -> bool:
    """Return whether ``jump`` is before ``last_minute``, and its window has no more known minutes than minutes."""
    first = jump.newest_minute + 1
    if not 0 < first < jump.next_minute <= last_minute:
        return False
    return jump.n_known <= first - calendar.window_at(first).start_minute
