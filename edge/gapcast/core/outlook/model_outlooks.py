"""The outlooks of a model alone, for windows of any number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np

from gapcast.core.errors import ModelError
from gapcast.core.features import assemble, measured_in
from gapcast.core.forecast import LOWER as LOWER_LEVEL
from gapcast.core.forecast import MEDIAN as MEDIAN_LEVEL
from gapcast.core.forecast import UPPER as UPPER_LEVEL
from gapcast.core.outlook.outlook import F64, LOWER, MEAN, N_COLUMNS
from gapcast.core.predictor import Predictor, run_model
from gapcast.core.window import F32, I64

#: Windows that the model takes at a time: outlooks are of few devices, and an interpreter for 32 takes 7 MB.
_N_ROWS = 8


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
        self._n_levels = len(levels)
        self._levels = np.array([levels.index(one) for one in (LOWER_LEVEL, MEDIAN_LEVEL, UPPER_LEVEL)])

    def predict(self, windows: F32, minutes: I64, history: F32 | None) -> tuple[F64, F64]:
        """Return the model's outlooks ``[N, K, 2, 4]``, and all its quantiles of the means ``[N, K, Q]``, which rise.

        ``windows`` ``[N, context, channels]`` end at ``minutes`` ``[N]``; ``history`` ``[N, steps]`` is the model's
        second input, None if it has none. Raises :class:`ModelError` if it does not forecast both kinds.
        """
        model, n, k = self._model, len(windows), len(self._model.lead_times_min)
        measured = windows[:, -model.spec.context :, : self._n_measured]
        inputs = assemble(measured, minutes, model.features, self._zone)
        kw, all_quantiles_kw = np.empty((n, k, 2, N_COLUMNS)), np.empty((2, n, k, self._n_levels))
        for part in (np.s_[first : first + _N_ROWS] for first in range(0, n, _N_ROWS)):
            prediction = run_model(model, inputs[part], None if history is None else history[part])
            means = prediction.mean, prediction.mean_to
            quantiles = prediction.quantiles, prediction.quantiles_to
            for kind, (mean_kw, quantiles_kw) in enumerate(zip(means, quantiles, strict=True)):
                if mean_kw is None or quantiles_kw is None:
                    msg = f"model {model.name} does not forecast both minutes and means with quantiles"
                    raise ModelError(msg)
                kw[part, :, kind, MEAN], all_quantiles_kw[kind, part] = mean_kw, quantiles_kw
        all_quantiles_kw.sort(axis=-1)
        kw[..., LOWER:] = all_quantiles_kw.take(self._levels, axis=-1).transpose(1, 2, 0, 3)
        return kw, all_quantiles_kw[1]
