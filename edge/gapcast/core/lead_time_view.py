"""A model at a shorter horizon: its lead times up to one of them, so that forecasts can be of any horizon it has."""

from __future__ import annotations

from dataclasses import dataclass

from gapcast.core.errors import ModelError
from gapcast.core.predictor import Prediction, Predictor, forecasts_means, history_steps_of, run_model
from gapcast.core.window import F32, WindowSpec


@dataclass(frozen=True, slots=True)
class AtHorizon:
    """Implements :class:`gapcast.core.predictor.Predictor`: ``model`` with its lead times up to ``horizon_min``.

    Its name, version and inputs are those of the model. Raises :class:`ModelError` that lists the possible horizons if
    the model does not have this lead time.
    """

    model: Predictor
    horizon_min: int

    def __post_init__(self) -> None:
        """Check the horizon."""
        leads_min = self.model.lead_times_min
        if self.horizon_min not in leads_min:
            possible = ", ".join(map(str, leads_min))
            msg = f"model {self.model.name} does not forecast {self.horizon_min} min ahead; possible are {possible}"
            raise ModelError(msg)

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
    def lead_times_min(self) -> tuple[int, ...]:
        """The model's lead times up to the horizon."""
        return tuple(lead_min for lead_min in self.model.lead_times_min if lead_min <= self.horizon_min)

    @property
    def quantile_levels(self) -> tuple[float, ...] | None:
        """The model's quantile levels."""
        return self.model.quantile_levels

    @property
    def history_steps(self) -> int:
        """Steps of the history that the model takes; 0 if it takes none."""
        return history_steps_of(self.model)

    @property
    def forecasts_means(self) -> bool:
        """Whether the model forecasts the mean of all minutes until each lead time too."""
        return forecasts_means(self.model)

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]``, with ``history`` ``[N, steps]`` if the model takes one."""
        whole = run_model(self.model, windows, history)
        n = len(self.lead_times_min)
        return Prediction(
            whole.mean[:, :n],
            None if whole.quantiles is None else whole.quantiles[:, :n],
            None if whole.mean_to is None else whole.mean_to[:, :n],
            None if whole.quantiles_to is None else whole.quantiles_to[:, :n],
        )


def at_horizon(model: Predictor, horizon_min: int) -> Predictor:
    """Return ``model`` itself if ``horizon_min`` is its longest lead time, else its view :class:`AtHorizon`."""
    return model if model.lead_times_min[-1] == horizon_min else AtHorizon(model, horizon_min)
