"""The compiled step of outlooks: computes a batch in C, with the results of the numpy modules.

``edge/native/outlook*.c`` has the C code, one function for each formula of this package. The step is used for outlooks
that learn and are calibrated, if the library was built for the machine; otherwise, and as the reference, numpy computes
the same results. The model runs before, in its own runtime. The step saves hundreds of small numpy calls for a batch of
one, and computes several readings of one device in order within one call.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.compiled.functions import Function, ResizableArrays, load_function, set_pointers
from gapcast.compiled.state_pointers import StatePointers
from gapcast.core.arrays.array_types import I64
from gapcast.core.outlook.correction.correction_features import HISTORY_HOURS, ON_CIRCLE, REACH_MIN
from gapcast.core.outlook.correction.forecast_alignment import ForecastAlignment
from gapcast.core.outlook.correction.online_outlook import OnlineOutlook
from gapcast.core.outlook.step.model_outlooks import ModelOutlooks
from gapcast.core.outlook.step.outlook_batch import MadeOutlooks, OutlookBatch
from gapcast.core.outlook.step.outlook_struct import (
    BATCH,
    MAX_LEADS,
    MAX_LEVELS,
    STATE,
    TABLES,
    OutlookStruct,
)
from gapcast.core.streams.quarters import STEPS


class CompiledOutlooks:
    """Makes the outlooks of a batch and learns from its readings, each in one call."""

    def __init__(
        self,
        functions: tuple[Function, Function],
        predictions: ModelOutlooks,
        alignment: ForecastAlignment,
        online: OnlineOutlook,
    ) -> None:
        """Use the state of ``online`` with the ``functions`` that make outlooks and learn."""
        self._make, self._learn = functions
        self._online = online
        self._step = step = OutlookStruct()
        self._address = ctypes.addressof(step)
        self._fill_sizes(predictions, alignment)
        self._tables = self._tables_of(predictions, alignment)
        set_pointers(step, **self._tables)
        self._state_pointers = StatePointers(step, {name: name for name in STATE})
        self._batch = ResizableArrays(step, BATCH)
        #: Whether the last batch may have windows whose outcomes are not learned yet.
        self._is_pending = False
        #: The last minute of a batch, and its local minute of the day.
        self._local = (-1, 0)

    @classmethod
    def create_if_available(
        cls, predictions: ModelOutlooks, alignment: ForecastAlignment, online: OnlineOutlook, context: int
    ) -> CompiledOutlooks | None:
        """Return the step for outlooks of windows of at least ``context`` minutes; None if numpy must be used."""
        make, learn = load_function("gapcast_outlook"), load_function("gapcast_outlook_learn")
        is_default = online.options.learns and online.options.calibrates
        fits = len(online.leads) <= MAX_LEADS and predictions.n_levels <= MAX_LEVELS and context >= _reach_of(online)
        has_hours = predictions.history_steps in {0, STEPS}
        if make is None or learn is None or not (is_default and fits and has_hours):
            return None
        return cls((make, learn), predictions, alignment, online)

    def make(self, batch: OutlookBatch) -> MadeOutlooks:
        """Return the outlooks of ``batch``, and store the newest of each device."""
        self.learn()
        n = len(batch.rows)
        if n != self._batch.n:
            self._batch.resize(n)
        views, step, prediction = self._batch.views, self._step, batch.prediction
        views["rows"][...] = batch.rows
        self._online.state.index(batch.rows)
        self._state_pointers.update(self._online.state)
        views["minutes"][...] = batch.minutes
        views["local"][...] = self._local_minutes(batch.minutes)
        views["is_measured"][...] = batch.is_measured
        views["windows"][...] = batch.windows[:, -step.context :]
        views["mean"][...], views["quantiles"][...], views["mean_to"][...], views["quantiles_to"][...] = prediction
        views["path_kw"][...], views["horizon_kw"][...] = batch.published
        step.issued_at_ms, step.has_history = batch.issued_at_ms, batch.history is not None
        if batch.history is not None:
            for hour, quarters in enumerate(HISTORY_HOURS):
                views["quarters"][:, hour] = batch.history[:, quarters]
        self._is_pending = True
        self._make(self._address, n)
        return MadeOutlooks(views["kw"].copy(), views["floor_kw"].copy(), views["quantiles_kw"].copy())

    def learn(self) -> None:
        """Learn from the readings of the last batch."""
        if self._is_pending:
            self._state_pointers.update(self._online.state)
            self._is_pending = False
            self._learn(self._address, self._batch.n)

    # --- arguments --------------------------------------------------------------------------------

    def _fill_sizes(self, predictions: ModelOutlooks, alignment: ForecastAlignment) -> None:
        online, step, reconciliation = self._online, self._step, alignment.reconciliation
        step.context, step.n_leads, step.n_levels = _reach_of(online), len(online.leads), predictions.n_levels
        step.n_fixed, step.n_free = len(reconciliation.fixed), len(reconciliation.free)
        step.horizon = -1 if alignment.horizon is None else alignment.horizon
        step.has_one = alignment.has_one
        step.n_slots, step.n_places = online.pending.n_slots, online.pending.n_places
        step.min_kw, step.low_kw, step.high_kw = online.min_kw, alignment.range.low_kw, alignment.range.high_kw

    def _tables_of(self, predictions: ModelOutlooks, alignment: ForecastAlignment) -> dict[str, NDArray[Any]]:
        online, reconciliation = self._online, alignment.reconciliation
        tables = (
            online.leads,
            predictions.levels,
            online.features.places,
            online.recent,
            reconciliation.fixed,
            reconciliation.free,
            alignment.shift.T,
            reconciliation.free_of.T,
            reconciliation.means_of.T,
            ON_CIRCLE,
        )
        return {name: np.array(table, TABLES[name], order="C") for name, table in zip(TABLES, tables, strict=True)}

    def _local_minutes(self, minutes: I64) -> I64 | int:
        """Return the local minutes of ``minutes``; in a stream nearly all are the last minute or the next."""
        if len(minutes) > 1:
            return self._online.local_minutes(minutes)
        minute = int(minutes[0])
        if self._local[0] != minute:
            self._local = minute, int(self._online.local_minutes(minutes)[0])
        return self._local[1]


def _reach_of(online: OnlineOutlook) -> int:
    """Return the number of minutes of power that the step needs, for twice the last lead time and for the columns."""
    return max(2 * int(online.leads[-1]), REACH_MIN)
