"""The models that are asked of each window, side by side: their inputs are made once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

import numpy as np

from gapcast.core.features import DERIVED, assemble, measured_in
from gapcast.core.forecast_range import Flags, ForecastRange, replace_windows
from gapcast.core.predictor import Prediction, Predictor
from gapcast.core.window import F32, I64


class Unusable(NamedTuple):
    """What a model's unusable values were: ``which`` of N windows, and its means ``[N]`` at the horizon, kW."""

    which: Flags
    mean_kw: F32


class PanelPredictions(NamedTuple):
    """The predictions of each model, all of them usable, and by a model's place what was ``unusable`` of it."""

    predictions: list[Prediction]
    unusable: dict[int, Unusable]


class Panel:
    """Asks models, the first of which says what is measured: the others take of that the first so many, or all."""

    def __init__(self, models: Sequence[Predictor], zone: tzinfo, within: ForecastRange) -> None:
        """Ask ``models``, at least one, whose time of day is the clock of ``zone``, for values ``within`` a range."""
        self._zone = zone
        self._within = within
        self.channels = measured_in(models[0].features)
        #: The longest context among them.
        self.context = max(model.spec.context for model in models)
        published = {name for model in models for name in model.features}
        self._features = (*self.channels, *(name for name in DERIVED if name in published))
        self._asked = [(model, np.s_[:, -model.spec.context :, self._columns(model)]) for model in models]

    def predict(self, measured: F32, minutes: I64) -> PanelPredictions:
        """Return what each model makes of windows ``[N, context, channels]``, kW and so on, that end at ``minutes``.

        Where a model gives a value for a window that is not finite or out of range, persistence takes the place of
        all that it says of that window.
        """
        inputs = assemble(measured, minutes, self._features, self._zone)
        predictions = [model.predict(inputs[view]) for model, view in self._asked]
        unusable: dict[int, Unusable] = {}
        for place, prediction in enumerate(predictions):
            which = self._within.unusable(prediction)
            if which is not None:
                unusable[place] = Unusable(which, prediction.mean[:, -1])
                last_kw, levels = measured[:, -1, 0].astype(np.float64), self._asked[place][0].quantile_levels
                predictions[place] = replace_windows(prediction, which, last_kw, levels, self._within)
        return PanelPredictions(predictions, unusable)

    def _columns(self, model: Predictor) -> slice | list[int]:
        """Return which columns are the model's: as a slice, which needs no copy, where they stand side by side."""
        places = [self._features.index(name) for name in model.features]
        side_by_side = [*range(places[0], places[0] + len(places))]
        return slice(side_by_side[0], side_by_side[-1] + 1) if places == side_by_side else places
