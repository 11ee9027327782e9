"""A view of a model at one of its lead times, so that any lead time of a model can be the main horizon."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.core.models.predictor import Prediction, Predictor, history_steps_of, run_model
from gapcast.core.outlook.interpolation import interpolate


class LeadTimeView:
    """Implements :class:`gapcast.core.models.predictor.Predictor`: ``model`` with its lead times up to ``horizon_min``.

    If the first lead time is one minute, the view forecasts every minute up to the horizon, on straight lines between
    the model's lead times: the path of a forecast has no gaps and agrees with the means of its outlook. Name, version
    and inputs are the model's; the view forecasts single minutes only.
    """

    def __init__(self, model: Predictor, horizon_min: int) -> None:
        """Raise :class:`ModelError` with the possible horizons if ``model`` does not have this lead time."""
        leads_min = model.lead_times_min
        if horizon_min not in leads_min:
            possible = ", ".join(map(str, leads_min))
            msg = f"model {model.name} does not forecast {horizon_min} min ahead; possible are {possible}"
            raise ModelError(msg)
        self.model = model
        self.name, self.version, self.spec = model.name, model.version, model.spec
        self.features, self.quantile_levels = model.features, model.quantile_levels
        self.history_steps = history_steps_of(model)
        self._n_leads = leads_min.index(horizon_min) + 1
        minutes = tuple(range(1, horizon_min + 1))
        self.lead_times_min: tuple[int, ...] = minutes if leads_min[0] == 1 else leads_min[: self._n_leads]

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]``, with ``history`` ``[N, steps]`` if the model takes it."""
        whole = run_model(self.model, windows, history)
        quantiles = None if whole.quantiles is None else self._minutes_of(whole.quantiles)
        return Prediction(self._minutes_of(whole.mean[:, :, np.newaxis])[:, :, 0], quantiles)

    def _minutes_of(self, kw: F32) -> F32:
        """Return ``kw`` ``[N, K, C]`` at the lead times of this view."""
        if len(self.lead_times_min) == self._n_leads:
            return kw[:, : self._n_leads]
        with np.errstate(all="ignore"):  # non-finite values are replaced later
            minutes = interpolate(self.model.lead_times_min, kw.astype(np.float64), self.lead_times_min)
            return minutes.astype(np.float32)


def at_horizon(model: Predictor, horizon_min: int) -> Predictor:
    """Return ``model`` itself if its view :class:`LeadTimeView` has the same lead times, else the view."""
    view = LeadTimeView(model, horizon_min)
    return model if view.lead_times_min == model.lead_times_min else view
