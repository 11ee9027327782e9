"""The compiled step of the ensemble: forecasts and learning of a batch in C, with the results of the numpy modules.

``edge/native`` has the C code, one function for each formula of this package. A step is used for an ensemble that
combines, learns and calibrates, without submeters, where the library was built for the machine; otherwise, and as the
reference, numpy computes the same. A batch of one needs no hundred small numpy calls then, and several readings of one
device are computed in order within one call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import Function, load_function, set_pointers
from gapcast.core.learning import rls_features, situations
from gapcast.core.learning.ensemble_inputs import EnsembleInputs
from gapcast.core.learning.ensemble_state import EnsembleState
from gapcast.core.learning.member_combination import EnsembleForecasts, MemberCombination
from gapcast.core.learning.outcomes import F64, Outcomes
from gapcast.core.learning.pending_forecasts import IssuedForecasts
from gapcast.core.predictor import Prediction
from gapcast.core.window import F32, I64

#: Largest numbers of members and of feature columns that the library takes.
_MAX_MEMBERS, _MAX_WIDTH = 64, 320
_SIZES = (
    "context", "n_models", "n_medians", "n_members", "refit", "has_bounds",
    "width", "n_lags", "n_stretches", "typical", "n_kw", "first_hidden", "n_hidden", "n_inputs", "n_slots",
    "horizon_min",
)  # fmt: skip
_OPTIONS = ("min_kw", "low_kw", "high_kw", "forgetting")
#: Tables and arrays of the state, with the types of their values.
_TABLES = {
    "medians": "i8", "edges": "i8", "places": "i8", "weights": "f4", "offsets": "f4", "means": "f4", "spreads": "f4",
    "on_circle": "f4", "recent": "f8", "log_prior": "f8",
}  # fmt: skip
_STATE = {
    "seen": "f8", "memory": "f4", "specialists": "f4", "coefficients": "f4", "covariance": "f4", "inside": "f4",
    "usual": "f4", "due_minute": "i8", "due_columns": "f4", "due": "f8", "due_levels": "f4",
}  # fmt: skip
#: The batch's arrays with the types of their values, and the shape of an entry: numbers, or names of sizes.
_BATCH: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "rows": ("i8", ()),
    "minutes": ("i8", ()),
    "target_of_day": ("i8", ()),
    "bins": ("i8", (2,)),
    "is_measured": ("u1", ()),
    "windows": ("f4", ("context",)),
    "outer_kw": ("f8", (2,)),
    "members_kw": ("f8", (2, "n_members")),
    "columns": ("f4", ("width",)),
    "kw": ("f8", (4,)),
    "shares": ("f8", (2, "n_members")),
    "scale_kw": ("f8", ()),
    "log_width": ("f8", ()),
    "levels": ("f8", (situations.N_QUANTITIES,)),
    "outcome_rows": ("i8", ()),
    "outcome_minutes": ("i8", ()),
    "actual_kw": ("f8", ()),
    "last_kw": ("f8", ()),
    "outcome_members_kw": ("f8", (2, "n_members")),
    "published_kw": ("f8", (4,)),
}
_OUTCOMES = ("outcome_rows", "outcome_minutes", "actual_kw", "last_kw", "outcome_members_kw", "published_kw")
_FIRST_CAPACITY = 1


_POINTERS: dict[str, Any] = {
    "f4": ctypes.POINTER(ctypes.c_float),
    "f8": ctypes.POINTER(ctypes.c_double),
    "i4": ctypes.POINTER(ctypes.c_int32),
    "i8": ctypes.POINTER(ctypes.c_int64),
    "u1": ctypes.POINTER(ctypes.c_uint8),
}


class _Step(ctypes.Structure):
    """``step_t`` of ``edge/native/ensemble.h``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _SIZES),
        *((name, ctypes.c_double) for name in _OPTIONS),
        *((name, _POINTERS[kind]) for name, kind in (_TABLES | _STATE).items()),
        ("newest_entry", _POINTERS["i4"]),
        *((name, _POINTERS[kind]) for name, (kind, _) in _BATCH.items()),
        ("n_outcomes", ctypes.c_int64),
        ("first", ctypes.c_int64),
    )


class CompiledStep:
    """Forecasts with the members of an ensemble and learns from outcomes, for many devices in one call."""

    def __init__(
        self,
        functions: tuple[Function, Function],
        inputs: EnsembleInputs,
        state: EnsembleState,
        combination: MemberCombination,
    ) -> None:
        """Work on ``state`` with the ``functions`` that forecast and learn; ``combination`` replaces forecasts."""
        self._inputs, self._state, self._combination = inputs, state, combination
        self._forecast, self._learn = functions
        self._max_devices = state.options.max_devices
        self._step = step = _Step()
        self._address = ctypes.addressof(step)
        self._fill_sizes()
        self._tables = self._tables_of()
        set_pointers(step, **self._tables)
        self._bound: tuple[object, int] = (None, 0)
        self._newest_entry: NDArray[np.int32] = np.full(0, -1, dtype=np.int32)
        self._allocate(_FIRST_CAPACITY)
        #: Whether the last batch may have windows that were not learned from.
        self._is_pending = False
        self._local: tuple[int, tuple[int, int, int]] = (-1, (0, 0, 0))

    @classmethod
    def of(cls, inputs: EnsembleInputs, state: EnsembleState, combination: MemberCombination) -> CompiledStep | None:
        """Return the step for an ensemble, or None if numpy is to be used."""
        functions, options = (load_function("gapcast_forecast"), load_function("gapcast_learn")), state.options
        is_default = options.combines and options.learns and options.calibrates and state.submetered is None
        fits = len(inputs.members) <= _MAX_MEMBERS and inputs.rls_features.width <= _MAX_WIDTH and inputs.context > 1
        forecast, learn = functions
        if forecast is None or learn is None or not is_default or not fits:
            return None
        return cls((forecast, learn), inputs, state, combination)

    def forecast(
        self,
        rows: I64,
        minutes: I64,
        windows: F32,
        predictions: Sequence[Prediction],
        filled: Sequence[int],
        forests_kw: F64 | None,
    ) -> EnsembleForecasts:
        """Forecast each of ``windows`` ``[N, context]``; see :meth:`.Ensemble.forecast`.

        :meth:`learn` must have been called since the last batch.
        """
        n = len(rows)
        if n != self._n:
            self._resize(n)
        batch = self._views
        if n == 1:
            row = int(rows[0])
            batch["rows"][0] = row + 1 if row < self._max_devices else 0
        else:
            batch["rows"][...] = np.where(rows < self._max_devices, rows + 1, 0)
        self._bind()
        batch["minutes"][...] = minutes
        batch["windows"][...] = windows
        batch["is_measured"][...] = 1
        if filled:
            batch["is_measured"][np.asarray(filled)] = 0
        self._write_local_times(minutes)
        self._write_members(batch["members_kw"], predictions, forests_kw)
        if self._inputs.outer is not None and predictions[0].quantiles is not None:
            batch["outer_kw"][...] = predictions[0].quantiles[:, -1, self._inputs.outer]
        replaced: list[tuple[int, float]] = []
        self._step.n_outcomes = self._step.first = 0
        self._is_pending = True
        while (entry := self._forecast(self._address, n)) < n:
            replaced += self._replace_impossible(entry)
            self._step.first = entry + 1
        return EnsembleForecasts(batch["kw"].copy(), batch["shares"].copy(), replaced)

    def learn(self) -> Outcomes | None:
        """Learn from the readings of the last batch; return the outcomes since then, None if there are none."""
        if not self._is_pending:
            return None
        self._is_pending = False
        self._bind()
        n = self._learn(self._address, self._n)
        return Outcomes(*(self._batch[name][:n].copy() for name in _OUTCOMES)) if n else None

    # --- arguments --------------------------------------------------------------------------------

    def _fill_sizes(self) -> None:
        inputs, features, options, step = self._inputs, self._inputs.rls_features, self._state.options, self._step
        step.context = inputs.context
        step.n_models = len(inputs.medians)
        step.n_medians = sum(median is not None for median in inputs.medians)
        step.n_members = len(inputs.members)
        step.refit = -1 if inputs.refit is None else inputs.refit
        step.has_bounds = inputs.has_bounds
        step.width, step.n_lags, step.n_stretches = features.width, len(features.lags), len(features.stretches)
        step.typical, step.n_kw, step.first_hidden = features.typical, features.n_kw, features.first_hidden
        step.n_hidden, step.n_inputs = len(features.hidden.offsets), len(features.hidden.means)
        step.n_slots, step.horizon_min = self._state.pending.n_slots, inputs.horizon_min
        forecast_range = self._combination.forecast_range
        step.min_kw, step.low_kw, step.high_kw = options.min_kw, forecast_range.low_kw, forecast_range.high_kw
        step.forgetting = options.forgetting

    def _tables_of(self) -> dict[str, NDArray[Any]]:
        inputs, features = self._inputs, self._inputs.rls_features
        context, hidden = inputs.context, features.hidden
        edges = [(context - end, context - begin) for begin, end in features.stretches[::-1]]
        with_median = [i for i, median in enumerate(inputs.medians) if median is not None]
        tables: tuple[NDArray[Any], ...] = (
            np.array(with_median, dtype=np.int64),
            np.array(edges, dtype=np.int64),
            hidden.places,
            hidden.weights,
            hidden.offsets,
            hidden.means,
            hidden.spreads,
            rls_features.ON_CIRCLE,
            situations.RECENT,
            self._state.log_prior,
        )
        return dict(zip(_TABLES, map(_own, tables), strict=True))

    def _allocate(self, capacity: int) -> None:
        """Allocate the batch's arrays for ``capacity`` windows."""
        self._capacity, self._n = capacity, 0
        self._views: dict[str, NDArray[Any]] = {}
        sizes = {name: int(getattr(self._step, name)) for name in _SIZES}
        self._batch: dict[str, NDArray[Any]] = {}
        for name, (kind, shape) in _BATCH.items():
            entry = tuple(size if isinstance(size, int) else sizes[size] for size in shape)
            self._batch[name] = np.zeros((capacity, *entry), dtype=kind)
        set_pointers(self._step, **self._batch)

    def _resize(self, n: int) -> None:
        """Take batches of ``n`` windows from now on."""
        if n > self._capacity:
            self._allocate(n)
        self._n, self._views = n, {name: array[:n] for name, array in self._batch.items()}

    def _bind(self) -> None:
        """Allocate the rows of the batch in the state, and pass its arrays if they have changed."""
        state = self._state.rows
        state.index(self._views["rows"])
        if self._bound == (state, len(state)):
            return
        self._bound = state, len(state)
        set_pointers(self._step, **{name: state.arrays[name] for name in _STATE})
        new = np.full(max(len(state) - len(self._newest_entry), 0), -1, dtype=np.int32)
        self._newest_entry = np.concatenate([self._newest_entry, new])
        set_pointers(self._step, newest_entry=self._newest_entry)

    def _write_local_times(self, minutes: I64) -> None:
        """Write the local times of ``minutes``, and of their targets."""
        batch, inputs = self._views, self._inputs
        if len(minutes) == 1:
            minute = int(minutes[0])
            if self._local[0] != minute:
                now, target = inputs.local_minutes(minutes)[:, 0].tolist()
                self._local = minute, (now // rls_features.BIN_MIN, target // rls_features.BIN_MIN, target)
            batch["bins"][0, 0], batch["bins"][0, 1], batch["target_of_day"][0] = self._local[1]
            return
        local = inputs.local_minutes(minutes)
        batch["bins"][...] = local.T // rls_features.BIN_MIN
        batch["target_of_day"][...] = local[1]

    def _write_members(self, members_kw: F64, predictions: Sequence[Prediction], forests_kw: F64 | None) -> None:
        """Write the models' predictions to ``members_kw`` ``[N, 2, E]``, and those of the forests."""
        for i, (prediction, median) in enumerate(zip(predictions, self._inputs.medians, strict=True)):
            members_kw[:, 0, i] = members_kw[:, 1, i] = prediction.mean[:, -1]
            if prediction.quantiles is not None and median is not None:
                members_kw[:, 1, i] = prediction.quantiles[:, -1, median]
        if self._inputs.refit is not None:
            members_kw[:, :, self._inputs.refit] = np.nan if forests_kw is None else forests_kw[:, :2]

    def _replace_impossible(self, entry: int) -> list[tuple[int, float]]:
        """Replace the forecast of ``entry`` by persistence; see :meth:`.MemberCombination.replace_impossible`."""
        part = slice(entry, entry + 1)
        rows, columns, members_kw, kw, shares, scale_kw, log_width, levels, windows = (
            self._batch[name][part]
            for name in ("rows", "columns", "members_kw", "kw", "shares", "scale_kw", "log_width", "levels", "windows")
        )
        made = IssuedForecasts(columns, members_kw, kw, windows[:, -1].astype(np.float64), scale_kw, levels)
        return self._combination.replace_impossible(rows, made, shares, log_width, np.array([entry]))


def _own(table: NDArray[Any]) -> NDArray[Any]:
    return np.array(table, order="C")
