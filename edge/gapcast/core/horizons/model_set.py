"""The models that forecast each window; their inputs are computed once for all models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple, cast

import numpy as np

from gapcast.core.arrays.array_types import F32, I64, Flags
from gapcast.core.forecasts.forecast_range import ForecastRange, replace_windows
from gapcast.core.models.predictor import Prediction, Predictor, TrunkModel, TrunkOutputs, history_steps_of, run_model
from gapcast.core.streams.model_history import history_of
from gapcast.core.streams.week import WeekHistory
from gapcast.core.windows.features import DERIVED, assemble, measured_in


class UnusablePredictions(NamedTuple):
    """Unusable predictions of a model: ``which`` of N windows, and the model's means ``[N]`` at the horizon, kW."""

    which: Flags
    mean_kw: F32


class ModelPredictions(NamedTuple):
    """The usable predictions of each model, and the replaced ``unusable`` predictions by index of the model.

    ``trunk`` is the trunk output of the first model if it was requested.
    """

    predictions: list[Prediction]
    unusable: dict[int, UnusablePredictions]
    trunk: TrunkOutputs | None = None


class ModelSet:
    """Runs several models. The first defines the measured channels; the others take all of them or the first few."""

    def __init__(self, models: Sequence[Predictor], zone: tzinfo, forecast_range: ForecastRange) -> None:
        """Run ``models``, at least one, with the time of day in ``zone``; values must be in ``forecast_range``."""
        self._zone = zone
        self._forecast_range = forecast_range
        self.channels = measured_in(models[0].features)
        #: The longest context of the models.
        self.context = max(model.spec.context for model in models)
        #: Whether any model takes a history.
        self.takes_history = any(map(history_steps_of, models))
        used = {name for model in models for name in model.features}
        self._features = (*self.channels, *(name for name in DERIVED if name in used))
        self._models = [(model, np.s_[:, -model.spec.context :, self._columns(model)]) for model in models]

    def predict(
        self,
        measured: F32,
        minutes: I64,
        rows: Sequence[int] = (),
        week: WeekHistory | None = None,
        *,
        with_trunk: bool = False,
    ) -> ModelPredictions:
        """Return each model's prediction for windows ``[N, context, channels]``, kW and so on, that end at ``minutes``.

        Models with a history get the history of ``rows`` ``[N]`` in ``week``; without ``week``, all of it is unknown.
        Powers are clipped to the range of forecasts. If a model returns a faulty value for a window, its whole
        prediction for that window is replaced by persistence. ``with_trunk``: also return the trunk output of the first
        model, which is a :class:`TrunkModel` without history.
        """
        inputs = assemble(measured, minutes, self._features, self._zone)
        trunk, models, predictions = None, self._models, []
        if with_trunk:
            (first, view), *models = models
            prediction, trunk = cast("TrunkModel", first).predict_with_trunk(inputs[view])
            predictions.append(prediction)
        if self.takes_history:
            predictions += [
                run_model(model, inputs[view], history_of(model, week, rows, minutes, measured[:, :, 0]))
                for model, view in models
            ]
        else:
            predictions += [model.predict(inputs[view]) for model, view in models]
        unusable: dict[int, UnusablePredictions] = {}
        for i, prediction in enumerate(predictions):
            predictions[i], which = self._forecast_range.clip_prediction(prediction)
            if which is not None:
                unusable[i] = UnusablePredictions(which, prediction.mean[:, -1])
                last_kw, levels = measured[:, -1, 0].astype(np.float64), self._models[i][0].quantile_levels
                predictions[i] = replace_windows(predictions[i], which, last_kw, levels, self._forecast_range)
        return ModelPredictions(predictions, unusable, trunk)

    def _columns(self, model: Predictor) -> slice | list[int]:
        """Return the columns of the model's features, as a slice if they are adjacent, which avoids a copy."""
        places = [self._features.index(name) for name in model.features]
        adjacent = [*range(places[0], places[0] + len(places))]
        return slice(adjacent[0], adjacent[-1] + 1) if places == adjacent else places
