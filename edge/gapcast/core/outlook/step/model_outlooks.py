"""The model's own outlooks, for any number of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import cast

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.errors import ModelError
from gapcast.core.forecasts.forecast import LOWER as LOWER_LEVEL
from gapcast.core.forecasts.forecast import MEDIAN as MEDIAN_LEVEL
from gapcast.core.forecasts.forecast import UPPER as UPPER_LEVEL
from gapcast.core.models.predictor import Prediction, Predictor, TrunkModel, TrunkOutputs, history_steps_of, run_model
from gapcast.core.outlook.outlook import LOWER, MEAN, N_COLUMNS
from gapcast.core.windows.features import assemble, measured_in

#: Number of windows that the model takes at a time: few devices have outlooks, and an interpreter for 32 takes 7 MB.
_N_ROWS = 8
#: Up to this many windows run one by one, which is faster than eight at once.
_FEW = 2
#: Number of windows at a time that continue from another model's trunk, which takes 4 MB, and the least number for
#: that: fewer windows are faster eight at a time.
_N_CONTINUED, _LEAST_CONTINUED = 32, 25


class ModelOutlooks:
    """Runs a model that forecasts single minutes and means of minutes, both with quantiles."""

    def __init__(self, model: Predictor, zone: tzinfo, channels: Sequence[str]) -> None:
        """Run ``model`` for windows with the measured ``channels``, in the local time of ``zone``.

        Raises :class:`ValueError` if the model takes other channels, or has no bounds.
        """
        measured, levels = measured_in(model.features), tuple(model.quantile_levels or ())
        if measured != tuple(channels[: len(measured)]):
            msg = (
                f"the outlook's model {model.name} takes {', '.join(measured)}, and readings have {', '.join(channels)}"
            )
            raise ValueError(msg)
        if not {LOWER_LEVEL, MEDIAN_LEVEL, UPPER_LEVEL} <= {*levels}:
            msg = f"the outlook's model {model.name} must have the quantiles 0.05, 0.5 and 0.95"
            raise ValueError(msg)
        self._model = model
        self._zone = zone
        self._n_measured = len(measured)
        #: Number of steps of the history that the model takes; 0 without a history.
        self.history_steps = history_steps_of(model)
        #: Number of quantile levels, and the indices of lower bound, median and upper bound among them.
        self.n_levels = len(levels)
        self.levels = np.array([levels.index(one) for one in (LOWER_LEVEL, MEDIAN_LEVEL, UPPER_LEVEL)])

    def predict(self, windows: F32, minutes: I64, history: F32 | None, trunk: TrunkOutputs | None = None) -> Prediction:
        """Return the model's forecasts for ``windows`` ``[N, context, channels]`` that end at ``minutes`` ``[N]``.

        ``history`` ``[N, steps]`` is the model's second input, None if it takes none. ``trunk`` are the outputs of
        another model's trunk for the windows; None: this model computes its own. Raises :class:`ModelError` if it does
        not forecast single minutes and means, both with quantiles.
        """
        model, n = self._model, len(windows)
        if trunk is None:
            measured = windows[:, -model.spec.context :, : self._n_measured]
            inputs = assemble(measured, minutes, model.features, self._zone)
        else:
            inputs = trunk.inputs
        parts = [*_parts_of(n, continues=trunk is not None)]
        if len(parts) == 1:
            return self._run(inputs, history, trunk)
        predictions = [
            self._run(
                inputs[part],
                None if history is None else history[part],
                None if trunk is None else trunk.select(part),
            )
            for part in parts
        ]
        return Prediction(*map(np.concatenate, zip(*predictions, strict=True)))

    def _run(self, inputs: F32, history: F32 | None, trunk: TrunkOutputs | None) -> Prediction:
        if trunk is None:
            prediction = run_model(self._model, inputs, history)
        else:
            prediction = cast("TrunkModel", self._model).predict_from_trunk(trunk, history)
        if prediction.quantiles is None or prediction.mean_to is None or prediction.quantiles_to is None:
            msg = f"model {self._model.name} does not forecast both minutes and means with quantiles"
            raise ModelError(msg)
        return prediction

    def columns_of(self, prediction: Prediction) -> tuple[F64, F64]:
        """Return the outlooks ``[N, K, 2, 4]`` of a ``prediction``, and its quantiles of means ``[N, K, Q]``, rising.

        ``prediction`` is a result of :meth:`predict`.
        """
        means = [cast("F32", values) for values in prediction[::2]]
        all_quantiles_kw = np.array(prediction[1::2], dtype=np.float64)
        all_quantiles_kw.sort(axis=-1)
        kw = np.empty((*all_quantiles_kw.shape[1:3], 2, N_COLUMNS))
        kw[..., MEAN] = np.stack(means, axis=-1)
        kw[..., LOWER:] = all_quantiles_kw.take(self.levels, axis=-1).transpose(1, 2, 0, 3)
        return kw, all_quantiles_kw[1]

    def spread(self, kw: F64) -> F64:
        """Return quantiles ``[N, K, Q]`` of means of outlooks ``kw`` ``[N, K, 2, 4]``: linear between the bounds."""
        places, bounds_kw = np.arange(self.n_levels), kw[:, :, 1, LOWER:]
        part = np.interp(places, self.levels, (-1.0, 0.0, 1.0))
        lower_kw, median_kw, upper_kw = (bounds_kw[..., i, np.newaxis] for i in range(3))
        return median_kw + np.where(part < 0.0, (median_kw - lower_kw) * part, (upper_kw - median_kw) * part)


def _parts_of(n: int, *, continues: bool) -> Iterator[slice]:
    """Yield the parts in which ``n`` windows run; ``continues``: from the trunk of another model."""
    first = 0
    while first < n:
        n_left = n - first
        size = _N_ROWS if n_left > _FEW else 1
        if continues and n_left >= _LEAST_CONTINUED:
            size = _N_CONTINUED
        yield slice(first, min(first + size, n))
        first += size
