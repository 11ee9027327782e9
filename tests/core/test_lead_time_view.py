"""A model at a shorter horizon is the model with fewer outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.lead_time_view import AtHorizon, at_horizon
from gapcast.core.predictor import Prediction
from gapcast.core.reading import Reading
from gapcast.core.window import F32
from gapcast.predictors.baselines import Persistence, Trend

LEADS_MIN = (1, 2, 5, 15, 60)


@dataclass(frozen=True, slots=True)
class Ramp(Persistence):
    """The last power plus the lead time in thousandths, and the mean of the history, with all outputs."""

    lead_times_min: tuple[int, ...] = LEADS_MIN
    quantile_levels: tuple[float, ...] | None = (0.05, 0.5, 0.95)
    history_steps: int = 8
    forecasts_means: bool = True

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        assert history is not None
        assert history.shape == (len(windows), self.history_steps)
        ahead = np.array(self.lead_times_min, dtype=np.float32) / np.float32(1_000)
        mean: F32 = (windows[:, -1, :1] + ahead).astype(np.float32)
        quantiles: F32 = (mean[:, :, np.newaxis] + np.array([-0.1, 0, 0.1], dtype=np.float32)).astype(np.float32)
        level = history.mean(axis=1)
        return Prediction(mean, quantiles, mean + level[:, np.newaxis], quantiles + level[:, np.newaxis, np.newaxis])


def test_view_has_the_lead_times_up_to_the_horizon() -> None:
    model = Ramp()
    view = AtHorizon(model, 15)
    assert view.lead_times_min == (1, 2, 5, 15)
    for name in ("name", "version", "spec", "features", "quantile_levels", "history_steps", "forecasts_means"):
        assert getattr(view, name) == getattr(model, name)
    windows, history = np.ones((3, 30, 1), dtype=np.float32), np.full((3, 8), 2.0, dtype=np.float32)
    whole, found = model.predict(windows, history), view.predict(windows, history)
    for name in ("mean", "quantiles", "mean_to", "quantiles_to"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name)[:, :4])


def test_view_of_a_model_with_one_output_has_no_other() -> None:
    view = AtHorizon(Trend(lead_times_min=(1, 5)), 1)
    found = view.predict(np.ones((2, 30, 1), dtype=np.float32))
    assert (found.mean.shape, found.quantiles, found.mean_to, found.quantiles_to) == ((2, 1), None, None, None)
    assert (view.history_steps, view.forecasts_means) == (0, False)


def test_view_at_an_unknown_horizon_lists_the_possible_ones() -> None:
    with pytest.raises(ModelError, match="does not forecast 3 min ahead; possible are 1, 2, 5, 15, 60"):
        AtHorizon(Ramp(), 3)


def test_at_horizon_returns_the_model_itself_at_its_own() -> None:
    model = Ramp()
    assert at_horizon(model, 60) is model
    assert at_horizon(model, 5).lead_times_min == (1, 2, 5)


def test_engine_forecasts_at_any_lead_time_of_a_model() -> None:
    engine = Engine(AtHorizon(Ramp(), 15))
    forecasts = [engine.forecast(engine.accept([Reading("home", 21_000_000 + i, 1.0)]), 0) for i in range(3)]
    forecast = forecasts[-1][0]
    assert (forecast.horizon_min, forecast.target_minute - forecast.observed_minute) == (15, 15)
    assert forecast.gap_kw == pytest.approx(1.015)
    assert forecast.path_kw == pytest.approx((1.001, 1.002, 1.005, 1.015))
