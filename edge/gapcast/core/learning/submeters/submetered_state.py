"""The state of :mod:`.submetered_model` as saved columns, checked before any of it is restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_rows_within
from gapcast.core.arrays.array_types import I64
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.learning.online_model import packed_covariance
from gapcast.core.learning.submeters.submeter_features import N_CELLS

#: Prefix of all names.
PREFIX = "submetered "
#: Saved besides the arrays: the places of devices with submeters, and the names of the columns.
TRACKED, COLUMNS = f"{PREFIX}followed", f"{PREFIX}columns"
#: Largest magnitude of a stored value.
_MOST = 1e9
_CELLS, _COVARIANCE = "due_cells", "covariance"


def saved_columns(
    state: DeviceRows, rows: I64, tracked: Sequence[int], names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return a copy of ``rows`` of ``state``, which belong to the devices at the places ``tracked``."""
    arrays = state.columns(rows)
    return {
        TRACKED: np.array(tracked, dtype=np.int64),
        COLUMNS: np.array(names),
        **{PREFIX + name: array for name, array in arrays.items()},
    }


def restorable_rows(
    columns: Mapping[str, NDArray[Any]], state: DeviceRows, names: Sequence[str], n_devices: int
) -> tuple[list[int], dict[str, NDArray[Any]]]:
    """Return the places below ``n_devices`` whose state in ``columns`` fits, and their arrays for ``state``.

    Return no place if the columns have other ``names``, shapes or types; the covariance may have the blocks of earlier
    versions.
    """
    nothing: tuple[list[int], dict[str, NDArray[Any]]] = [], {}
    if TRACKED not in columns or columns.get(COLUMNS, np.empty(0)).tolist() != list(names):
        return nothing
    tracked = columns[TRACKED]
    own = {name: state.initial(name) for name in state.arrays}
    saved = {name: columns[PREFIX + name] for name in own if PREFIX + name in columns}
    covariance, n_columns = saved.get(_COVARIANCE), len(names)
    if covariance is not None and covariance.shape[1:] == packed_covariance.blocks_shape(n_columns):
        saved[_COVARIANCE] = packed_covariance.pack(covariance, n_columns)
    if saved.keys() != own.keys() or tracked.dtype.kind != "i":
        return nothing
    sound = (tracked >= 0) & (tracked < n_devices)
    for name, array in saved.items():
        if array.shape != (len(tracked), *own[name].shape) or array.dtype != own[name].dtype:
            return nothing
        most = _MOST if array.dtype.kind == "f" else np.inf
        sound &= are_rows_within(array, -most, most)
    cells = saved[_CELLS]
    sound &= ((cells >= 0) & (cells < N_CELLS)).all(axis=tuple(range(1, cells.ndim)))
    places = np.flatnonzero(sound)
    return tracked[places].tolist(), {name: array[places] for name, array in saved.items()}
