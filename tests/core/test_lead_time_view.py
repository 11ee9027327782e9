"""A model at a shorter horizon is the model with fewer outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.horizons.lead_time_view import LeadTimeView, at_horizon
from gapcast.core.models.predictor import Prediction
from gapcast.core.readings.reading import Reading
from gapcast.predictors.baselines import Persistence, Trend

LEADS_MIN = (1, 2, 5, 15, 60)


@dataclass(frozen=True, slots=True)
class Ramp(Persistence):
    """Predicts the last power plus the lead time in thousandths, and the mean of the history, with all outputs."""

    lead_times_min: tuple[int, ...] = LEADS_MIN
    quantile_levels: tuple[float, ...] | None = (0.05, 0.5, 0.95)
    history_steps: int = 8

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        assert history is not None
        assert history.shape == (len(windows), self.history_steps)
        ahead = np.array(self.lead_times_min, dtype=np.float32) / np.float32(1_000)
        mean: F32 = (windows[:, -1, :1] + ahead).astype(np.float32)
        quantiles: F32 = (mean[:, :, np.newaxis] + np.array([-0.1, 0, 0.1], dtype=np.float32)).astype(np.float32)
        level = history.mean(axis=1)
        return Prediction(mean, quantiles, mean + level[:, np.newaxis], quantiles + level[:, np.newaxis, np.newaxis])


def inputs(n: int) -> tuple[F32, F32]:
    draw = np.random.default_rng(n)
    return draw.uniform(0, 3, (n, 30, 1)).astype(np.float32), draw.uniform(0, 3, (n, 8)).astype(np.float32)


def test_view_has_every_minute_up_to_the_horizon() -> None:
    model = Ramp()
    view = LeadTimeView(model, 15)
    assert view.lead_times_min == tuple(range(1, 16))
    for name in ("name", "version", "spec", "features", "quantile_levels", "history_steps"):
        assert getattr(view, name) == getattr(model, name)
    windows, history = inputs(3)
    whole, found = model.predict(windows, history), view.predict(windows, history)
    assert found.quantiles is not None
    assert whole.quantiles is not None
    at = [0, 1, 4, 14]
    np.testing.assert_array_equal(found.mean[:, at], whole.mean[:, :4])
    np.testing.assert_array_equal(found.quantiles[:, at], whole.quantiles[:, :4])
    assert (np.diff(found.mean, axis=1) > 0).all()
    assert (found.mean_to, found.quantiles_to) == (None, None)


def test_view_of_adjacent_lead_times_returns_the_models_values() -> None:
    windows, _ = inputs(2)
    trend = Trend(lead_times_min=(1, 2, 3, 4, 5))
    found = LeadTimeView(trend, 3).predict(windows)
    np.testing.assert_array_equal(found.mean, trend.predict(windows).mean[:, :3])
    assert found.quantiles is None


def test_view_of_a_model_without_the_next_minute_keeps_its_lead_times() -> None:
    view = LeadTimeView(Trend(lead_times_min=(4, 5, 9)), 5)
    assert view.lead_times_min == (4, 5)
    assert view.predict(inputs(2)[0]).mean.shape == (2, 2)
    assert view.history_steps == 0


@pytest.mark.filterwarnings("error")
def test_view_of_values_that_are_not_finite_has_them_too() -> None:
    windows, history = inputs(3)
    windows[0, -1], windows[1, -1] = np.nan, np.inf
    found = LeadTimeView(Ramp(), 15).predict(windows, history).mean
    assert np.isfinite(found).all(axis=1).tolist() == [False, False, True]


def test_view_at_an_unknown_horizon_lists_the_possible_ones() -> None:
    with pytest.raises(ModelError, match="does not forecast 3 min ahead; possible are 1, 2, 5, 15, 60"):
        LeadTimeView(Ramp(), 3)


def test_at_horizon_returns_the_model_itself_if_nothing_changes() -> None:
    minutes, single = Trend(lead_times_min=(1, 2, 3)), Trend(lead_times_min=(5,))
    assert at_horizon(minutes, 3) is minutes
    assert at_horizon(single, 5) is single
    assert at_horizon(minutes, 2).lead_times_min == (1, 2)
    assert at_horizon(Ramp(), 60).lead_times_min == tuple(range(1, 61))


def test_engine_forecasts_at_any_lead_time_of_a_model() -> None:
    engine = Engine(LeadTimeView(Ramp(), 15))
    forecasts = [engine.forecast(engine.accept([Reading("home", 21_000_000 + i, 1.0)]), 0) for i in range(3)]
    forecast = forecasts[-1][0]
    assert (forecast.horizon_min, forecast.target_minute - forecast.observed_minute) == (15, 15)
    assert forecast.gap_kw == pytest.approx(1.015)
    assert forecast.path_kw == pytest.approx([1.001 + i / 1_000 for i in range(15)], abs=1e-4)
