"""What was learnt, given to a blend of other experts: what is common goes on, the rest begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.errors import StateError
from gapcast.core.learning import boa_weights
from gapcast.core.learning.device_rows import DeviceRows

#: Beside the arrays of :class:`Rows`: which devices they are of, the names of the experts, and of the learning
#: expert's columns.
TRACKED, EXPERTS, COLUMNS = "followed", "experts", "columns"
#: Arrays in which every value is finite.
_SOUND = ("memory", "coefficients", "covariance", "usual")
_HALF = "covariance"


def pack_covariance(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return ``arrays`` with each covariance's upper half alone, ``[n, 2, D (D + 1) / 2]``: the other is the same."""
    return {
        name: array[..., *np.triu_indices(array.shape[-1])] if name == _HALF else array
        for name, array in arrays.items()
    }


def _whole(half: NDArray[Any], n_columns: int) -> NDArray[Any]:
    upper = np.triu_indices(n_columns)
    whole = np.empty((*half.shape[:-1], n_columns, n_columns), dtype=half.dtype)
    whole[..., *upper] = half
    whole[..., *upper[::-1]] = half
    return whole


def restore_for_members(
    saved: Mapping[str, NDArray[Any]], state: DeviceRows, experts: Sequence[str], columns: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``state`` for the devices that ``saved`` is of, with what it says put in its place.

    Empty where nothing was kept. Raises :class:`StateError` where its arrays do not fit each other.
    """
    if not saved:
        return {}
    missing = [name for name in (TRACKED, EXPERTS, COLUMNS) if name not in saved or saved[name].ndim != 1]
    if missing:
        msg = f"what was learnt does not say its {missing[0]}"
        raise StateError(msg)
    tracked = saved[TRACKED]
    n = len(tracked)
    if tracked.dtype.kind != "i" or np.unique(tracked).size != n or (tracked < 0).any():
        msg = "what was learnt names a device twice, or one that there cannot be"
        raise StateError(msg)
    out = {name: np.repeat(state.initial(name)[np.newaxis], n, axis=0) for name in state.arrays}
    new_e, old_e = _common(experts, saved[EXPERTS])
    new_c, old_c = _common(columns, saved[COLUMNS])
    as_before = len(new_e) == len(experts) == len(saved[EXPERTS]) and len(new_c) == len(columns) == len(saved[COLUMNS])
    try:
        for name, array in out.items():
            if name not in saved:
                continue
            before = saved[name]
            if before.shape[:1] != (n,):
                msg = f"{name} is of shape {before.shape}, not of {n} devices"
                raise StateError(msg)
            if name in _SOUND and not np.isfinite(before).all():
                msg = f"{name} has values that are no numbers"
                raise StateError(msg)
            if name == "memory":
                array[...] = boa_weights.new_member_state(before)
                array[..., new_e] = before[..., old_e]
            elif name == "coefficients":
                array[..., new_c] = before[..., old_c]
            elif name == _HALF:
                before = _whole(before, len(saved[COLUMNS]))
                array[..., new_c[:, np.newaxis], new_c] = before[..., old_c[:, np.newaxis], old_c]
            elif name not in {"due", "due_minute"} or (as_before and (new_e == old_e).all() and (new_c == old_c).all()):
                array[...] = before
    except (ValueError, IndexError, TypeError) as error:
        msg = f"what was learnt is of another shape: {error}"
        raise StateError(msg) from error
    return out


def _common(new: Sequence[str], old: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the names that both have are in ``new``, and where in ``old``."""
    places = {name: place for place, name in enumerate(old.tolist())}
    both = [(place, places[name]) for place, name in enumerate(new) if name in places]
    return np.array([a for a, _ in both], dtype=np.int64), np.array([b for _, b in both], dtype=np.int64)
