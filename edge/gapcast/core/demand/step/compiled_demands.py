"""The computation of demands in C: distributions, learning and live scores of a batch in one call each.

The code is in ``edge/native/demand*.c``. Its results equal those of the numpy modules of this package, which are the
reference (:class:`~gapcast.core.demand.step.numpy_demands.NumpyDemands`) and replace it where no library is available.
Several readings of one device are computed in order within one call.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import Function, ResizableArrays, load_function, set_pointers
from gapcast.compiled.state_pointers import StatePointers
from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.device_windows import ClosedWindow, WindowState
from gapcast.core.demand.distributions.distribution import LOG_ODDS, MOST
from gapcast.core.demand.distributions.exceedance_features import ON_CIRCLE, ONE_KW, spans_of
from gapcast.core.demand.distributions.exceedance_model import PRIOR
from gapcast.core.demand.distributions.model_quantiles import NODES
from gapcast.core.demand.distributions.planned_power import PlannedPower
from gapcast.core.demand.distributions.remaining_power import FALLS
from gapcast.core.demand.distributions.window_forecasts import columns_of, planned_in
from gapcast.core.demand.headroom.fuse import Z_BOUND, FuseRisk, z_of
from gapcast.core.demand.scores import scores
from gapcast.core.demand.state.demand_state import DemandState
from gapcast.core.demand.step.demand_batch import DemandBatch
from gapcast.core.demand.step.demand_struct import (
    BATCH,
    LIVE,
    MAX_LEADS,
    MAX_QUANTILES,
    N_CLOSED,
    N_ENTRY,
    NEWEST,
    POWER,
    TABLES,
    DemandStruct,
)

_Arrays = Mapping[str, NDArray[Any]]


class CompiledDemands:
    """Makes demands from a state, stores the newest demands in it, and learns."""

    def __init__(
        self, functions: tuple[Function, Function], state: DemandState, fuse: FuseRisk, highest_kw: float
    ) -> None:
        """Use ``state`` with the ``functions`` that make demands and learn; see :meth:`create_if_available`."""
        self._make, self._learn = functions
        self._state, self._fuse = state, fuse
        self._step = step = DemandStruct(highest_kw=highest_kw, most_z=MOST, one_kw_z=ONE_KW, z_bound=Z_BOUND)
        self._address = ctypes.addressof(step)
        n_leads, n_levels = state.power.state.initial("quantiles_kw").shape
        step.n_leads, step.n_levels, step.n_sums = n_leads, n_levels, scores.N_SUMS
        step.median = state.power.median
        model = state.power.model
        step.first_tail, step.last_tail, step.highest_z = model.first_tail, model.last_tail, model.highest_z
        step.n_minutes_ahead = len(fuse.weights)
        self._tables: _Arrays = {}
        names = ({name: of for name, (of, _) in declared.items()} for declared in (POWER, NEWEST, LIVE))
        self._state_pointers = StatePointers(step, *names)
        self._batch = ResizableArrays(step, BATCH)
        self._closed = np.zeros((0, N_CLOSED))
        #: Whether the last batch may have readings whose outcomes are not learned yet.
        self._is_pending = False

    @classmethod
    def create_if_available(cls, state: DemandState, fuse: FuseRisk, highest_kw: float) -> CompiledDemands | None:
        """Return the computation on ``state`` with ``fuse``; None if numpy must be used.

        ``highest_kw`` is the highest power of a reading.
        """
        make, learn = load_function("gapcast_make_demands"), load_function("gapcast_learn_demands")
        n_leads, n_levels = state.power.state.initial("quantiles_kw").shape
        if make is None or learn is None or n_leads > MAX_LEADS or n_levels > MAX_QUANTILES:
            return None
        return cls((make, learn), state, fuse, highest_kw)

    def make(self, batch: DemandBatch) -> F64:
        """Return the demands of ``batch`` ``[N, 32]``."""
        self.learn()
        rows, minutes, last_kw, states, of, means, mean_kw, point_kw, issued_at_ms, planned = batch
        n, step, live = len(rows), self._step, self._state.live
        if n != self._batch.n or of.shape[1] != step.context:
            self._resize(n, of.shape[1])
        self._bind(max(rows) + 1)
        numbers: list[float] = []
        add = numbers.extend
        for row, minute, kw, state in zip(rows, minutes, last_kw, states, strict=True):
            z = 0.0 if isnan(state.fuse_kw) else self._z_of(minute, state)
            add((row + 1, minute, kw, z))
            add(state)
        self._write_numbers(self._entries, 0, *numbers)
        views = self._batch.views
        views["windows"][...] = of
        views["quantiles_kw"][...], views["floor_kw"][...] = means.quantiles_kw, means.floor_kw
        views["mean_kw"][...], views["point_kw"][...] = mean_kw, point_kw
        step.has_planned = planned is not None
        if planned is not None:
            self._write_planned(planned, minutes, states)
        closed = live.closed_of(rows)
        if closed or step.n_closed:
            self._write_closed(closed)
        step.issued_at_ms = issued_at_ms
        self._is_pending = True
        self._make(self._address, n)
        if closed:
            live.drop_closed([row + 1 for row in rows])
        made: F64 = views["demands"].copy()
        return made

    def learn(self) -> None:
        """Learn from the outcomes in the readings of the last demands."""
        if self._is_pending:
            self._bind(0)
            self._is_pending = False
            self._learn(self._address, self._batch.n)

    def _z_of(self, minute: int, state: WindowState) -> float:
        left_min = state.end_minute - (minute + 1)
        return z_of(state.risk, min(left_min, len(self._fuse.weights)))

    # --- arguments --------------------------------------------------------------------------------

    def _resize(self, n: int, context: int) -> None:
        """Accept batches of ``n`` windows of ``context`` minutes from now on."""
        step = self._step
        if context != step.context:
            step.context = context
            self._tables = self._tables_of(context)
            step.n_spans = self._tables["spans"].shape[1]
            set_pointers(step, **self._tables)
            self._batch = ResizableArrays(step, BATCH)
        self._batch.resize(n)
        self._entries = self._batch.arrays["entries"].data.cast("B")
        self._write_numbers = struct.Struct(f"={N_ENTRY * n}d").pack_into

    def _tables_of(self, context: int) -> _Arrays:
        power, spans = self._state.power, spans_of(context)
        starts, ends = spans.bounds.reshape(2, -1)
        tables: tuple[Any, ...] = (
            power.model.steps,
            power.model.curve_log_odds,
            power.model.to_nodes,
            power.means.energy,
            ON_CIRCLE,
            NODES,
            FALLS,
            LOG_ODDS,
            PRIOR,
            self._fuse.weights,
            np.stack((starts, ends, spans.lengths)),
        )
        return {
            name: np.array(table, dtype=kind, order="C")
            for (name, kind), table in zip(TABLES.items(), tables, strict=True)
        }

    def _bind(self, row: int) -> None:
        """Allocate the rows up to ``row`` in the state, and pass its arrays to the library if they have changed."""
        state = self._state
        parts = state.power.state, state.newest, state.live.state
        for part in parts:
            part.grow(row + 1)
        self._state_pointers.update(*parts)

    def _write_planned(self, planned: PlannedPower, minutes: Sequence[int], states: Sequence[WindowState]) -> None:
        """Pass the planned power in the windows of ``states`` after ``minutes`` to the library."""
        observed, views = np.array(minutes), self._batch.views
        windows = columns_of(np.array(states, dtype=np.float64), observed)
        views["planned_kw"][:, :2] = planned_in(planned.remaining_kw, windows, observed).T
        views["planned_kw"][:, 2:] = planned_in(planned.expected_kw, windows, observed).T
        views["planned_minutes_kw"][...] = planned.minutes_kw[:, : self._step.n_minutes_ahead]

    def _write_closed(self, closed: Sequence[ClosedWindow]) -> None:
        """Pass the closed windows to the library."""
        n = self._step.n_closed = len(closed)
        if n > len(self._closed):
            self._closed = np.zeros((n, N_CLOSED))
            set_pointers(self._step, closed=self._closed)
        if n:
            self._closed[:n] = [
                (one.row + 1, one.start_minute, one.end_minute, one.mean_kw, one.local_day) for one in closed
            ]
