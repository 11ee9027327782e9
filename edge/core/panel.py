"""The models that are asked of each window, side by side: their inputs are made once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np

from edge.core.errors import ModelError
from edge.core.features import DERIVED, assemble, measured_in
from edge.core.predictor import Prediction, Predictor
from edge.core.window import F32, I64


class Panel:
    """Asks models, the first of which says what is measured: the others take of that the first so many, or all."""

    def __init__(self, models: Sequence[Predictor], zone: tzinfo) -> None:
        """Ask ``models``, at least one, whose time of day is the clock of ``zone``."""
        self._zone = zone
        self.channels = measured_in(models[0].features)
        #: The longest context among them.
        self.context = max(model.spec.context for model in models)
        told = {name for model in models for name in model.features}
        self._features = (*self.channels, *(name for name in DERIVED if name in told))
        self._asked = [(model, np.s_[:, -model.spec.context :, self._columns(model)]) for model in models]

    def predict(self, measured: F32, minutes: I64) -> list[Prediction]:
        """Return what each model makes of windows ``[N, context, channels]``, kW and so on, that end at ``minutes``.

        Raises :class:`ModelError` where one gives a value that is no number.
        """
        inputs = assemble(measured, minutes, self._features, self._zone)
        return [_predict(model, inputs[view]) for model, view in self._asked]

    def _columns(self, model: Predictor) -> slice | list[int]:
        """Return which columns are the model's: as a slice, which needs no copy, where they stand side by side."""
        places = [self._features.index(name) for name in model.features]
        side_by_side = [*range(places[0], places[0] + len(places))]
        return slice(side_by_side[0], side_by_side[-1] + 1) if places == side_by_side else places


def _predict(model: Predictor, inputs: F32) -> Prediction:
    prediction = model.predict(inputs)
    for values in (prediction.mean, prediction.quantiles):
        if values is not None and not np.isfinite(values).all():
            msg = f"model {model.name} gave a value that is not a number"
            raise ModelError(msg)
    return prediction
