"""The learned state of many devices as saved columns, and its restoration for another set of ensemble members.

Members that both ensembles have keep their weights and coefficients; the others start fresh. State learned for another
horizon is useless: its outcomes are other minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import are_distinct
from gapcast.core.arrays.device_rows import DeviceRows
from gapcast.core.errors import StateError
from gapcast.core.forecasts import power_floor
from gapcast.core.learning.ensemble import boa_weights, mean_correction, median_calibration, median_threshold
from gapcast.core.learning.ensemble.pending_forecasts import PENDING, in_layout_of
from gapcast.core.learning.online_model import packed_covariance, phase_table, rls_model
from gapcast.core.learning.online_model.removed_columns import without_columns

Places = NDArray[np.int64]
Saved = Mapping[str, NDArray[Any]]
#: Saved besides the arrays of :class:`DeviceRows`: the places of tracked devices, the names of the ensemble members and
#: of the online model's features, and the horizon, minutes ``[1]``. The strings are stored names.
TRACKED, MEMBERS, COLUMNS, HORIZON = "followed", "experts", "columns", "horizon_min"
#: The columns without a row per device.
OF_ALL_DEVICES = frozenset({MEMBERS, COLUMNS, HORIZON})
#: The name of a column with the number of outcomes, among others.
SEEN = "seen"
#: The horizon of all models when state was still saved without a horizon.
_HORIZON_BEFORE_MIN = 5
#: Arrays learned for mean and median together.
_OFFSETS = (mean_correction.STATE, median_calibration.STATE, median_threshold.STATE)
#: Arrays in which every value must be finite.
_FINITE = (power_floor.STATE, "memory", *_OFFSETS, *rls_model.STATE, "usual")
#: Number of dimensions of the weights' memory in earlier versions, without situations.
_NDIM_BEFORE_SITUATIONS = 4
#: Dimensions of the covariance in earlier versions: upper triangles, one for mean and median each; blocks.
_N_DIM_OF_TRIANGLES, _N_DIM_OF_BLOCKS = 3, 4
#: Number of devices whose covariances are converted at once.
_CHUNK = 64


def horizon_of(saved: Saved) -> int:
    """Return the horizon that ``saved`` was learned for, minutes; raise :class:`StateError` if it is not a number."""
    horizon = saved.get(HORIZON, np.array([_HORIZON_BEFORE_MIN]))
    if horizon.shape != (1,) or horizon.dtype.kind != "i":
        msg = "the horizon of the learned state is not one whole number"
        raise StateError(msg)
    return int(horizon[0])


@dataclass(frozen=True, slots=True)
class _Common:
    """The indices of the names that two sequences share, in the ``new`` and in the ``old`` sequence."""

    new: Places
    old: Places
    is_same: bool

    @classmethod
    def from_names(cls, new: Sequence[str], old: Sequence[str]) -> _Common:
        indices = {name: i for i, name in enumerate(old)}
        both = [(i, indices[name]) for i, name in enumerate(new) if name in indices]
        new_places, old_places = (np.array([pair[side] for pair in both], dtype=np.int64) for side in (0, 1))
        return cls(new_places, old_places, list(new) == list(old))


def restore_for_members(
    saved: Saved, state: DeviceRows, members: Sequence[str], columns: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``state`` for the devices of ``saved``, with the saved values of common members.

    ``members`` are the names of the ensemble's members, ``columns`` the names of the online model's features. Empty if
    nothing was saved. Raises :class:`StateError` if the saved arrays do not fit each other.
    """
    if not saved:
        return {}
    n_devices = _check_header(saved)
    common_members = _Common.from_names(members, saved[MEMBERS].tolist())
    common_features = _Common.from_names(columns, saved[COLUMNS].tolist())
    is_same = common_members.is_same and common_features.is_same
    restored: dict[str, NDArray[Any]] = {}
    try:
        if is_same:
            saved = {**saved, **in_layout_of(state, saved)}
        elif len(common_features.old) < len(saved[COLUMNS]) and "coefficients" in saved:
            saved = {**saved, **_without_removed(saved, n_devices, common_features.old)}
        for name in state.arrays:
            initial = state.initial(name)
            if name in saved:
                _check_array(name, saved[name], n_devices)
                fits = (saved[name].shape[1:], saved[name].dtype) == (initial.shape, initial.dtype)
                if name in phase_table.ARRAYS and not fits:
                    msg = f"{name} has values of another type or number: {saved[name].dtype} {saved[name].shape[1:]}"
                    raise StateError(msg)
                if is_same and fits:
                    restored[name] = saved[name]  # without a copy: the arrays have tens of megabytes
                    continue
            restored[name] = np.repeat(initial[np.newaxis], n_devices, axis=0)
            if name in saved:
                _restore_array(name, restored[name], saved, common_members, common_features)
    except (ValueError, IndexError, TypeError, KeyError) as error:
        msg = f"the learned state has another shape: {error}"
        raise StateError(msg) from error
    return restored


def _check_header(saved: Saved) -> int:
    """Return the number of devices of ``saved``; raise :class:`StateError` if it does not name each device once."""
    missing = [name for name in (TRACKED, MEMBERS, COLUMNS) if name not in saved or saved[name].ndim != 1]
    if missing:
        msg = f"the learned state has no list of its {missing[0]}"
        raise StateError(msg)
    tracked = saved[TRACKED]
    if tracked.dtype.kind != "i" or not are_distinct(tracked) or (tracked < 0).any():
        msg = "the learned state names a device twice, or one that does not exist"
        raise StateError(msg)
    return len(tracked)


def _check_array(name: str, array: NDArray[Any], n_devices: int) -> None:
    if array.shape[:1] != (n_devices,):
        msg = f"{name} has the shape {array.shape}, for {n_devices} devices"
        raise StateError(msg)
    if name in _FINITE and not all(np.isfinite(array[some]).all() for some in _chunks(n_devices)):
        msg = f"{name} has values that are not finite"
        raise StateError(msg)


def _restore_array(name: str, target: NDArray[Any], saved: Saved, members: _Common, features: _Common) -> None:
    """Write the saved values of one array to ``target``, in place."""
    array = saved[name]
    if name == "memory":
        if array.ndim == _NDIM_BEFORE_SITUATIONS:
            array = boa_weights.state_before_situations(array, saved["seen"][:, 0])
        target[...] = boa_weights.new_member_state(array)
        target[..., members.new] = array[..., members.old]
    elif name == "coefficients":
        target[...] = 0.0  # the learned coefficients together are the forecast: new columns do not contribute yet
        target[..., features.new] = array[..., features.old]
    elif name == "covariance":
        _restore_covariance(target, array, len(saved[COLUMNS]), features)
    elif name not in PENDING or (members.is_same and features.is_same):
        # pending forecasts have a column for each member and feature
        target[...] = array


def _restore_covariance(target: NDArray[Any], array: NDArray[Any], n_columns: int, features: _Common) -> None:
    """Write the covariances of the common features, saved with ``n_columns``, to ``target``, in place.

    The other columns start with the variances that coefficients have without a prior; their coefficients start at zero.
    """
    unknown = np.eye(packed_covariance.columns_of(target), dtype=np.float32) * np.float32(rls_model.PRIOR)
    for some in _chunks(len(array)):
        if array.ndim != _N_DIM_OF_TRIANGLES and features.is_same:
            target[some] = packed_of(array[some], n_columns)
            continue
        old = _matrices_of(array[some], n_columns)
        whole = np.repeat(unknown[np.newaxis], len(old), axis=0)
        whole[:, features.new[:, np.newaxis], features.new] = old[:, features.old[:, np.newaxis], features.old]
        target[some] = packed_covariance.from_matrices(whole)


def _without_removed(saved: Saved, n_devices: int, kept: Places) -> dict[str, NDArray[Any]]:
    """Return the coefficients and covariance of ``saved`` for only the columns ``kept``, the others eliminated."""
    coefficients, covariance = saved["coefficients"].copy(), saved["covariance"]
    for name, array in (("coefficients", coefficients), ("covariance", covariance)):
        _check_array(name, array, n_devices)
    n_columns = len(saved[COLUMNS])
    packed = np.empty((n_devices, packed_covariance.packed_size(n_columns)), dtype=np.float32)
    for some in _chunks(n_devices):
        matrices = _matrices_of(covariance[some], n_columns).astype(np.float32, copy=False)
        coefficients[some, ..., kept], matrices[:, kept[:, np.newaxis], kept] = without_columns(
            coefficients[some, ..., :n_columns], matrices, kept
        )
        packed[some] = packed_covariance.from_matrices(matrices)
    return {"coefficients": coefficients, "covariance": packed}


def _chunks(n_devices: int) -> Iterator[slice]:
    """Yield slices of devices whose matrices fit in memory at once: all are ten times as large as the state."""
    for first in range(0, n_devices, _CHUNK):
        yield slice(first, first + _CHUNK)


def _matrices_of(covariance: NDArray[Any], n_columns: int) -> NDArray[np.floating]:
    """Return a saved ``covariance`` of N devices as ``[N, D, D]``; raise ValueError if it has another shape."""
    if covariance.ndim != _N_DIM_OF_TRIANGLES:
        return packed_covariance.to_matrices(packed_of(covariance, n_columns))
    matrices = np.empty((len(covariance), n_columns, n_columns), dtype=covariance.dtype)
    upper = np.triu_indices(n_columns)
    matrices[:, *upper] = matrices[:, *upper[::-1]] = covariance[:, 0]
    return matrices


def packed_of(covariance: NDArray[Any], n_columns: int) -> NDArray[np.float32]:
    """Return a saved ``covariance`` of N devices, packed or in the blocks of earlier versions, in packed form.

    Raises ValueError if it has another number of columns.
    """
    shape = covariance.shape[1:]
    if covariance.ndim == _N_DIM_OF_BLOCKS and shape == packed_covariance.blocks_shape(n_columns):
        return packed_covariance.pack(covariance.astype(np.float32), n_columns)
    if shape != (packed_covariance.packed_size(n_columns),):
        msg = f"the covariance of {n_columns} columns has the shape {shape}"
        raise ValueError(msg)
    return covariance.astype(np.float32)
