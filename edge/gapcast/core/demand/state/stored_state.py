"""The state of demands as columns: captured for a snapshot, checked and restored.

Windows and month's peaks are valid for windows of the same length. The newest demands, and the state learned from the
outlook, are valid for the same outlook model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct, are_rows_within
from gapcast.core.arrays.array_types import I64
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.billing.running_windows import RunningWindows
from gapcast.core.demand.state.demand_state import NEWEST, has_newest, has_options_of, is_sound_newest
from gapcast.core.demand.state.later_regression import with_later_regression
from gapcast.core.demand.state.stored_windows import (
    STORED_COLUMNS,
    STORED_PEAKS,
    Columns,
    has_other_imports,
    restore_windows,
    window_columns,
    with_later_columns,
)
from gapcast.core.errors import StateError
from gapcast.core.readings.reading import is_device_id
from gapcast.core.streams.buffer import Buffers

#: Columns besides the state: the key ``[1]`` of the learned state's validity, and the places of devices with a demand.
SIGNATURE, TRACKED = "signature", "tracked"
#: The limits that were set at run time, by device; a device need not be in the snapshot.
LIMIT_DEVICE, LIMIT_KW = "limit_device", "limit_kw"
#: Largest absolute value in a learned column.
_MOST_LEARNED = 1e15


def limit_columns(windows: RunningWindows) -> dict[str, NDArray[Any]]:
    """Return the limits that were set at run time, as columns."""
    limits_kw = windows.set_limits_kw
    return {LIMIT_DEVICE: np.array(list(limits_kw), dtype=np.str_), LIMIT_KW: np.array(list(limits_kw.values()))}


def restored_limits(columns: Columns, windows: RunningWindows, highest_kw: float) -> dict[str, float]:
    """Return the stored limits up to ``highest_kw`` of devices that still have a demand, as many as are possible.

    Raises :class:`StateError` if the columns do not fit each other.
    """
    devices, limits_kw = columns.get(LIMIT_DEVICE, np.zeros(0, np.str_)), columns.get(LIMIT_KW, np.zeros(0))
    if (devices.dtype.kind, limits_kw.dtype.kind, devices.ndim) != ("U", "f", 1) or devices.shape != limits_kw.shape:
        msg = "the stored limits of demands do not fit their devices"
        raise StateError(msg)
    found = {
        device: limit_kw
        for device, limit_kw in zip(devices.tolist(), limits_kw.tolist(), strict=True)
        if is_device_id(device) and windows.site_options.for_device(device).is_limited and 0 < limit_kw <= highest_kw
    }
    return dict(list(found.items())[: windows.max_rows])


def check_columns(columns: Columns) -> I64:
    """Return the places of devices in ``columns``.

    Raises :class:`StateError` if a column of the windows is missing or has another shape or type, or if a device occurs
    twice.
    """
    tracked = columns.get(TRACKED)
    if tracked is None or tracked.ndim != 1 or tracked.dtype.kind != "i" or not are_distinct(tracked):
        msg = "the stored demands name no devices, or one twice"
        raise StateError(msg)
    for name, (kind, shape, _, _) in STORED_COLUMNS.items():
        found = columns.get(name)
        if found is None or found.dtype.kind != kind or found.shape != (len(tracked), *shape):
            shown = "missing" if found is None else f"{found.dtype} {found.shape}"
            msg = f"{name} of the stored demands is {shown}"
            raise StateError(msg)
    return tracked


def implausible_windows(columns: Columns) -> NDArray[np.bool_]:
    """Return which devices of ``columns`` have values out of range; :func:`check_columns` accepts ``columns``."""
    bad = columns[TRACKED] < 0
    for name, (_, _, low, high) in STORED_COLUMNS.items():
        values = columns[name]
        inside = (values >= low) & (values <= high)
        if name in STORED_PEAKS:
            inside |= np.isnan(values) & (columns[STORED_PEAKS[name]] < 0)
        bad = bad | ~inside.all(axis=tuple(range(1, inside.ndim)))
    return bad


def restore_rows(state: DeviceRows, columns: Columns, prefix: str, which: I64, rows: I64) -> int:
    """Restore the places ``which`` of the columns with ``prefix`` into ``rows`` of ``state``.

    Return the number of rows that were discarded because a value is out of range. Raises :class:`StateError` if a
    column is missing or has another shape or type.
    """
    found = with_later_regression({name: columns.get(f"{prefix}{name}") for name in state.arrays}, state)
    usable: dict[str, NDArray[Any]] = {}
    bad = np.zeros(len(which), dtype=np.bool_)
    for name, values in found.items():
        array = state.arrays[name]
        wanted = (len(columns[TRACKED]), *array.shape[1:])
        if values is None or values.shape != wanted or values.dtype != array.dtype:
            msg = f"{prefix}{name} of the stored demands is missing, or not {array.dtype} {wanted}"
            raise StateError(msg)
        usable[name] = values[which]
        bad |= ~are_rows_within(usable[name], -_MOST_LEARNED, _MOST_LEARNED, allows_nan=True)
    state.restore_columns(rows[~bad], {name: values[~bad] for name, values in usable.items()})
    return int(bad.sum())


def state_columns(
    windows: RunningWindows, learned: Mapping[str, DeviceRows], signature: str, rows: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """Return the columns of the devices of ``rows``; ``learned``, by prefix, is valid for ``signature``."""
    found = [(i, one) for i, one in enumerate(map(windows.for_row, rows)) if one is not None]
    tracked = np.array([i for i, _ in found], dtype=np.int64)
    state_rows = np.asarray(rows, dtype=np.int64)[tracked] + 1
    return {
        SIGNATURE: np.array([signature]),
        TRACKED: tracked,
        **window_columns([one for _, one in found]),
        **limit_columns(windows),
        **{
            f"{prefix}{name}": column
            for prefix, state in learned.items()
            for name, column in state.columns(state_rows).items()
        },
    }


def restore_state(
    windows: RunningWindows, learned: Mapping[str, DeviceRows], signature: str, buffers: Buffers, columns: Columns
) -> str:
    """Restore the result of :func:`state_columns` into the begun ``windows`` of the devices in ``buffers``.

    Return a description of the discarded state, empty if there is none. Raises :class:`StateError` if the columns do
    not fit each other.
    """
    if TRACKED in columns:
        columns = with_later_columns(columns, len(columns[TRACKED]))
    places = check_columns(columns)
    bad = implausible_windows(columns)
    which = np.flatnonzero(~bad & (places < min(len(buffers), windows.max_rows)))
    for i, row in zip(which.tolist(), places[which].tolist(), strict=True):
        one = windows.for_row(row)
        if one is not None:
            restore_windows(one, columns, i, buffers.stream(buffers.device(row)).last_minute)
    n_bad = int(bad.sum())
    if SIGNATURE in columns and columns[SIGNATURE].tolist() == [signature]:
        sound = is_sound_newest(columns.get(NEWEST), len(bad))[which]
        n_bad += int(np.count_nonzero(~sound))
        which = which[sound]
        for prefix, state in learned.items():
            n_bad += restore_rows(state, columns, prefix, which, places[which] + 1)
            if NEWEST in state.arrays:
                _forget_of_other_options(state, windows, columns, which)
    return f"{n_bad} rows of demands are out of range" if n_bad else ""


def _forget_of_other_options(newest: DeviceRows, windows: RunningWindows, columns: Columns, which: I64) -> None:
    """Forget the newest demands of ``which`` in ``columns`` that were made with other options than ``windows`` has."""
    for i, row in zip(which.tolist(), columns[TRACKED][which].tolist(), strict=True):
        if not has_newest(newest, row + 1):
            continue
        one = windows.for_row(row)
        if one is None or has_other_imports(one, columns, i) or not has_options_of(newest.arrays[NEWEST][row + 1], one):
            newest.forget(row + 1)
