"""The ensemble: combines the forecasts of its members per device, and learns from outcomes.

The members are the models, an RLS model that learns online, the trees of the nightly refit where they are used, an RLS
model that also learns from submeters if there are any, and persistence. Their weighted mean and median form the
forecast, each with a learned offset, and a calibrated interval around the median. When the reading of the target minute
arrives, the RLS models, weights, offsets and interval learn from it, separately for each device. The devices of a batch
are computed together, in C if the library is available (:mod:`.compiled_step`), else in numpy. Several readings of one
device are processed in order, so that a batch gives the same result as its readings one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DAMAGED, UNTRACKED, DeviceRows
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.ensemble.compiled_step import CompiledStep
from gapcast.core.learning.ensemble.ensemble_inputs import EnsembleInputs, MemberPredictions
from gapcast.core.learning.ensemble.ensemble_state import EnsembleState
from gapcast.core.learning.ensemble.ensemble_update import EnsembleUpdate
from gapcast.core.learning.ensemble.learning_prior import LearningPrior
from gapcast.core.learning.ensemble.member_combination import (
    EnsembleForecasts,
    ForecastsBeforeUpdate,
    MemberCombination,
)
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.ensemble.step_outcomes import StepOutcomes
from gapcast.core.learning.submeters.submeter_features import load_features
from gapcast.core.learning.submeters.submetered_model import SubmeteredModel
from gapcast.core.models.predictor import Prediction, Predictor
from gapcast.core.readings.reading import Limits


class Ensemble:
    """Forecasts with all members, and learns from outcomes. Pure; for one caller."""

    def __init__(
        self,
        models: Sequence[Predictor],
        options: EnsembleOptions,
        zone: tzinfo = UTC,
        *,
        prior: LearningPrior | None = None,
    ) -> None:
        """Combine ``models``; the first one is the primary model.

        If ``prior`` has the columns and the horizon of the RLS model, the learning state starts from it; otherwise the
        RLS model starts as the primary model, and the tables with zeros.
        """
        self.options = options
        #: Limits of readings, from which the range of forecasts is derived.
        self.limits = Limits(options.min_kw, options.max_kw)
        self.forecast_range = ForecastRange.from_limits(self.limits)
        self.models = tuple(models)
        has_submeters = options.learns and options.n_submeters > 0
        self._inputs = inputs = EnsembleInputs(
            models, zone, learns=options.learns, refits=options.refits, has_submeters=has_submeters
        )
        self.members = inputs.members
        #: The horizon of all members, minutes.
        self.horizon_min = inputs.horizon_min
        self._state = EnsembleState(inputs, options, prior)
        self._combination = MemberCombination(inputs, self._state, options, self.forecast_range)
        self._update = EnsembleUpdate(self._state)
        #: The compiled step; None if numpy is used.
        self.compiled_step = CompiledStep.create_if_available(inputs, self._state, self._combination)
        self._unlearned: ForecastsBeforeUpdate | None = None
        self._outcomes: list[Outcomes] = []

    @property
    def state(self) -> DeviceRows:
        """The learning state; see :class:`~gapcast.core.learning.ensemble.ensemble_state.EnsembleState`."""
        return self._state.rows

    @property
    def submetered(self) -> SubmeteredModel | None:
        """The model of devices with submeters; None without submeters."""
        return self._state.submetered

    @property
    def n_bytes_per_device(self) -> int:
        """Bytes of state per tracked device."""
        return self._state.n_bytes_per_device

    # --- forecasts --------------------------------------------------------------------------------

    def forecast(
        self,
        rows: I64,
        minutes: I64,
        windows: F32,
        predictions: Sequence[Prediction],
        filled: Sequence[int] = (),
        forests_kw: F64 | None = None,
    ) -> EnsembleForecasts:
        """Forecast each of ``windows`` ``[N, context]``, kW, N >= 1, in order.

        ``rows`` ``[N]`` are the devices' rows in :class:`~gapcast.core.streams.buffer.Buffers`, ``minutes`` ``[N]`` the
        minutes of the newest readings, and ``predictions`` the predictions of each model for the windows. Nothing is
        learned from the newest readings of the windows ``filled``. ``forests_kw`` ``[N, 2]`` are mean and median
        of the devices' own forests, NaN for a device without one (None: no device has one). With
        ``options.n_submeters`` K the windows are ``[N, context, 1 + K]``: mains and submeters, NaN where missing.
        """
        if self.compiled_step is not None:
            self._learn_pending()
            if self._outcomes:  # of several batches: the step overwrites its own outcomes
                self._outcomes = [one.copied() if isinstance(one, StepOutcomes) else one for one in self._outcomes]
            return self.compiled_step.forecast(rows, minutes, windows, predictions, filled, forests_kw)
        return self._forecast_by_numpy(rows, minutes, windows, predictions, filled, forests_kw)

    @np.errstate(**DAMAGED)
    def _forecast_by_numpy(
        self,
        rows: I64,
        minutes: I64,
        windows: F32,
        predictions: Sequence[Prediction],
        filled: Sequence[int],
        forests_kw: F64 | None,
    ) -> EnsembleForecasts:
        """Return the result of :meth:`forecast` without the compiled step: the definition of its results."""
        if self.submetered is None:
            inputs = self._inputs.collect(rows, minutes, windows, predictions, forests_kw)
        else:
            inputs = self._inputs.collect(rows, minutes, windows[:, :, 0], predictions, forests_kw)
            inputs = replace(inputs, loads=load_features(windows, self.horizon_min))
        if filled:
            inputs = inputs.without_outcomes(filled)
        published = EnsembleForecasts(
            np.empty((len(rows), 4)), np.empty((len(rows), 2, len(self.members))), np.empty(len(rows))
        )
        is_tracked = rows < self.options.max_devices
        if is_tracked.all():
            self._combine_tracked(inputs, published)
            return published
        untracked, tracked = np.flatnonzero(~is_tracked), np.flatnonzero(is_tracked)
        rows_of_untracked = np.full(len(untracked), UNTRACKED)
        self._combination.combine(inputs.select(untracked), rows_of_untracked, published, untracked)
        if tracked.size:
            self._combine_tracked(inputs.select(tracked), published, tracked)
        return published

    def learn(self) -> list[Outcomes]:
        """Learn from the outcomes of the newest readings; return all outcomes since the last call.

        The outcomes are valid until the next forecast, like :class:`StepOutcomes`.
        """
        self._learn_pending()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def forget(self, row: int) -> None:
        """Reset the state of the device in ``row``."""
        self._learn_pending()
        self._state.forget(row)

    def discard_pending(self, row: int) -> None:
        """Discard the pending forecasts of the device in ``row``: nothing is learned from their outcomes."""
        self._learn_pending()
        self._state.discard_pending(row)

    def columns(self, rows: Sequence[int], *, copies: bool = True) -> dict[str, NDArray[Any]]:
        """Return the learning state of ``rows``, for :meth:`restore_columns`; see :meth:`.EnsembleState.columns`."""
        self._learn_pending()
        return self._state.columns(rows, copies=copies)

    def restore_columns(self, n_devices: int, columns: dict[str, NDArray[Any]], *, releases: bool = False) -> None:
        """Restore the result of :meth:`columns`; see :meth:`.EnsembleState.restore_columns`, which raises errors."""
        self._state.restore_columns(n_devices, columns, releases=releases)

    def adopt(self, before: Ensemble) -> None:
        """Continue with the learned state of ``before``, of the same members and options; do not use it afterwards."""
        before._learn_pending()
        self._state.rows, self._state.submetered = before._state.rows, before._state.submetered

    def _combine_tracked(
        self, inputs: MemberPredictions, published: EnsembleForecasts, places: I64 | None = None
    ) -> None:
        """Write the forecasts of ``inputs`` to ``places`` of ``published`` (None: all), and store them for learning."""
        for which in inputs.rounds():
            self._learn_pending()
            one = inputs.select(which)
            at = which if places is None else places[which]
            self._unlearned = self._combination.combine(one, one.rows + 1, published, at)

    def _learn_pending(self) -> None:
        """Learn from the readings of the last round.

        This runs only before the next round, after the forecasts of the last round were published. The compiled step
        learns from all rounds of a batch except the last reading of each device.
        """
        if self.compiled_step is not None:
            outcomes: Outcomes | None = self.compiled_step.learn()
        else:
            unlearned, self._unlearned = self._unlearned, None
            outcomes = None if unlearned is None else self._update.learn(unlearned)
        if outcomes is not None:
            self._outcomes.append(outcomes)
