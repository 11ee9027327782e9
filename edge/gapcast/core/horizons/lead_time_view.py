"""A view of a model at one of its lead times, so that any lead time of a model can be the main horizon."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.errors import ModelError
from gapcast.core.models.predictor import Prediction, Predictor, history_steps_of, run_model
from gapcast.core.outlook.interpolation import interpolate
from gapcast.core.windows.window import WindowSpec


@dataclass(frozen=True, slots=True)
class LeadTimeView:
    """Implements :class:`gapcast.core.models.predictor.Predictor`: ``model`` with its lead times up to ``horizon_min``.

    If the first lead time is one minute, the view forecasts every minute up to the horizon, on straight lines between
    the model's lead times: the path of a forecast has no gaps and agrees with the means of its outlook. Name, version
    and inputs are the model's; the view forecasts single minutes only. Raises :class:`ModelError` with the possible
    horizons if the model does not have this lead time.
    """

    model: Predictor
    horizon_min: int
    lead_times_min: tuple[int, ...] = field(init=False)
    _n_leads: int = field(init=False)

    def __post_init__(self) -> None:
        """Check the horizon."""
        leads_min = self.model.lead_times_min
        if self.horizon_min not in leads_min:
            possible = ", ".join(map(str, leads_min))
            msg = f"model {self.model.name} does not forecast {self.horizon_min} min ahead; possible are {possible}"
            raise ModelError(msg)
        n_leads = leads_min.index(self.horizon_min) + 1
        object.__setattr__(self, "_n_leads", n_leads)
        minutes = tuple(range(1, self.horizon_min + 1)) if leads_min[0] == 1 else leads_min[:n_leads]
        object.__setattr__(self, "lead_times_min", minutes)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.version

    @property
    def spec(self) -> WindowSpec:
        """The model's window."""
        return self.model.spec

    @property
    def features(self) -> tuple[str, ...]:
        """The model's features."""
        return self.model.features

    @property
    def quantile_levels(self) -> tuple[float, ...] | None:
        """The model's quantile levels."""
        return self.model.quantile_levels

    @property
    def history_steps(self) -> int:
        """Number of steps of the history that the model takes; 0 without a history."""
        return history_steps_of(self.model)

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
