"""The engine's outlooks agree with its forecasts and with themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.errors import ModelError
from gapcast.core.horizons.lead_time_view import at_horizon
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.models.predictor import Prediction
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, UPPER, Outlook
from gapcast.core.readings.reading import Reading
from gapcast.predictors.baselines import Persistence, Trend
from tests.core.outlook.runs import LEADS_MIN, outlook_engine, process, with_forecasts
from tests.core.outlook.test_reconciliation import means_of
from tests.support.examples import examples
from tests.support.houses import FIRST, Smooth, house_kw, stream
from tests.support.library_choice import build
from tests.support.outlook_model import OutlookModel

HOUSE = st.lists(st.floats(-3, 12, width=32), min_size=3, max_size=40)


def check(outlook: Outlook, *, has_path: bool = True) -> None:
    """Check that an outlook is consistent with itself."""
    point, mean = outlook.point_kw, outlook.mean_kw
    for kw in (point, mean):
        assert np.isfinite(kw).all()
        assert (kw[:, LOWER] <= kw[:, MEDIAN]).all()
        assert (kw[:, MEDIAN] <= kw[:, UPPER]).all()
    assert mean[:, MEAN] == pytest.approx(means_of(point[np.newaxis, :, MEAN])[0], abs=1e-9)
    assert np.array_equal(point[0], mean[0])
    if has_path:
        others = [i for i, lead in enumerate(outlook.lead_times_min) if lead > 5]
        assert (point[others, LOWER] <= np.maximum(point[others, MEAN], 0.0)).all()
        assert (point[others, UPPER] >= point[others, MEAN]).all()


@examples(25)
@given(HOUSE, st.integers(1, 20))
def test_outlook_agrees_with_the_forecast_and_with_itself(house: list[float], at_a_time: int) -> None:
    made = with_forecasts(process(outlook_engine(), stream(house), at_a_time))
    assert len(made) == len(house) - 1, "the first reading has no forecast"
    for forecast, outlook in made:
        check(outlook)
        assert outlook.observed_minute == forecast.observed_minute
        assert tuple(outlook.point_kw[:5, MEAN].tolist()) == forecast.path_kw
        interval = forecast.lower_kw, forecast.median_kw, forecast.upper_kw
        assert tuple(outlook.point_kw[4, LOWER:].tolist()) == interval
        if min(house) >= 0:
            assert min(outlook.mean_kw[1:, LOWER].min(), outlook.point_kw[5:, LOWER].min()) >= 0
            assert min(*forecast.path_kw, outlook.mean_kw[:, MEAN].min(), outlook.point_kw[:, MEAN].min()) >= 0


@pytest.mark.parametrize("horizon_min", [10, 15, 30, 60])
def test_mean_of_the_path_is_the_outlooks_mean_at_any_horizon(horizon_min: int) -> None:
    model = OutlookModel(history_steps=0)
    engine = Engine(at_horizon(model, horizon_min), outlook=OutlookConfig(model))
    for forecast, outlook in with_forecasts(process(engine, stream(house_kw(80)), 7)):
        path_kw = np.array(forecast.path_kw)
        leads_min = [lead for lead in outlook.lead_times_min if lead <= horizon_min]
        means_kw = [path_kw[:lead].mean() for lead in leads_min]
        assert len(path_kw) == horizon_min
        assert outlook.mean_kw[: len(leads_min), MEAN] == pytest.approx(means_kw, abs=1e-6)


@dataclass(frozen=True)
class LateSwitch(Persistence):
    """Predicts that 2 kW are switched on after four minutes."""

    def predict(self, windows: F32) -> Prediction:
        mean = super().predict(windows).mean.copy()
        mean[:, -1] += 2.0
        return Prediction(mean)


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=pytest.mark.compiled), False])
def test_path_is_negative_only_in_a_house_that_exports(compiled: bool) -> None:
    """Nothing is switched on, so the ensemble's correction lowers the earlier minutes as well."""
    model, lowest_kw = LateSwitch(lead_times_min=LEADS_MIN), []
    for early_kw in (0.25, -1.0):
        options = EnsembleOptions(min_kw=-100)
        ensemble = build(Ensemble, (model, Persistence(lead_times_min=LEADS_MIN)), options, compiled=compiled)
        engine = Engine(model, ensemble=ensemble, outlook=OutlookConfig(OutlookModel()))
        made = with_forecasts(process(engine, stream([0.25, early_kw] + [0.05] * 60), 7))
        paths_kw = [forecast.path_kw or () for forecast, _ in made]
        lowest_kw.append(min(map(min, paths_kw)))
        assert lowest_kw[-1] <= min(outlook.mean_kw[:, MEAN].min() for _, outlook in made)
        assert [path_kw[-1] for path_kw in paths_kw] == [forecast.gap_kw for forecast, _ in made]
    assert lowest_kw[0] == 0.0
    assert lowest_kw[1] < -0.5


def test_path_of_a_single_model_is_what_it_predicts() -> None:
    """Nothing is combined or corrected: a fall is extrapolated below 0, in the mean and in the path."""
    trend = Trend(lead_times_min=LEADS_MIN)
    falling_kw = [3.0] * 30 + np.linspace(3.0, 0.05, 30).tolist()
    ensemble = Ensemble((trend,), EnsembleOptions(min_kw=-100, combines=False))
    *_, (last, _) = process(Engine(trend, ensemble=ensemble), stream(falling_kw), 7)
    assert last.gap_kw[-1] < 0
    assert min(last[len(last) - 1].path_kw or ()) < 0


def test_outlook_does_not_change_forecasts() -> None:
    readings = stream(house_kw(150))
    models = Smooth(lead_times_min=LEADS_MIN)
    alone, beside = Engine(models), Engine(models, outlook=OutlookConfig(OutlookModel()))
    made = process(alone, readings), process(beside, readings)
    assert [list(forecasts) for forecasts, _ in made[0]] == [list(forecasts) for forecasts, _ in made[1]]
    assert all(outlooks is None for _, outlooks in made[0])
    assert alone.outlook_of("home") is None
    assert alone.outlook_scores_of("home") == {}


@pytest.mark.long
def test_outlook_of_a_batch_equals_single_readings() -> None:
    devices = {device: stream(house_kw(160, seed), FIRST, device) for seed, device in enumerate("abc")}
    readings = [one for minute in zip(*devices.values(), strict=True) for one in minute]
    single, batch, hours = outlook_engine(), outlook_engine(), outlook_engine()
    process(single, readings)
    process(batch, readings, 48)
    process(hours, [one for device in devices.values() for one in device], 60)
    for device in devices:
        found = [engine.outlook_of(device) for engine in (single, batch, hours)]
        assert found[0] is not None
        for other in found[1:]:
            assert other is not None
            assert other.point_kw == pytest.approx(found[0].point_kw, abs=1e-5)
            assert other.mean_kw == pytest.approx(found[0].mean_kw, abs=1e-5)
        assert single.outlook_scores_of(device) == batch.outlook_scores_of(device)


def test_only_the_first_devices_have_an_outlook() -> None:
    engine = outlook_engine(options=OutlookOptions(max_devices=1))
    readings = [Reading(device, FIRST + minute, 1.0) for minute in range(3) for device in ("a", "b")]
    made = process(engine, readings, 2)
    assert made[-1][1] is not None
    assert made[-1][1].devices == ["a"]
    assert engine.outlook_of("b") is None
    assert engine.outlook_scores_of("b") == {}
    assert process(engine, [Reading("b", FIRST + 3, 1.0)])[-1][1] is None


def test_device_without_an_outlook_yet_has_none() -> None:
    engine = outlook_engine()
    assert engine.outlook_of("home") is None
    process(engine, [Reading("home", FIRST, 1.0)])
    assert engine.outlook_of("home") is None
    assert engine.outlook_scores_of("home")
    assert process(engine, [Reading("home", FIRST + 1, 1.0)])[0][1] is not None


def test_forecasts_without_a_path_fix_only_the_horizon() -> None:
    engine = Engine(Smooth(), outlook=OutlookConfig(OutlookModel()))
    forecasts, outlooks = process(engine, stream(house_kw(80)))[-1]
    assert outlooks is not None
    check(outlooks[0], has_path=False)
    assert outlooks.point_kw[0, 4, MEAN] == forecasts.gap_kw[0]
    assert outlooks.point_kw[0, 3, MEAN] != forecasts.gap_kw[0]


def test_forecast_without_an_interval_leaves_the_outlook_its_own() -> None:
    engine = Engine(Persistence(), outlook=OutlookConfig(OutlookModel()))
    forecasts, outlooks = process(engine, stream(house_kw(80)))[-1]
    assert forecasts.median_kw is None
    assert outlooks is not None
    check(outlooks[0], has_path=False)


def test_horizon_that_the_outlook_lacks_is_not_matched() -> None:
    engine = Engine(Smooth(lead_times_min=(7,)), outlook=OutlookConfig(OutlookModel()))
    _, outlooks = process(engine, stream(house_kw(80)))[-1]
    assert outlooks is not None
    check(outlooks[0], has_path=False)


def test_outlook_neither_learned_nor_calibrated_is_the_model() -> None:
    engine = outlook_engine(options=OutlookOptions(learns=False, calibrates=False))
    kw = np.full(90, 1.5)
    _, outlooks = process(engine, stream(kw))[-1]
    assert outlooks is not None
    assert outlooks.point_kw[0, :, MEDIAN] == pytest.approx(np.full(11, 1.5), abs=0.02)
    check(outlooks[0])


@dataclass(frozen=True, slots=True)
class Broken(OutlookModel):
    """Returns for every third window a value that is not a possible power."""

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        made = OutlookModel.predict(self, windows, history)
        assert made.mean_to is not None
        made.mean_to[::3, 4] = np.inf
        return made


def test_impossible_prediction_is_replaced_by_persistence() -> None:
    made = with_forecasts(process(outlook_engine(outlook_model=Broken()), stream(house_kw(70))))
    assert len(made) == 69
    for forecast, outlook in made:
        check(outlook)
        assert tuple(outlook.point_kw[:5, MEAN].tolist()) == forecast.path_kw


@pytest.mark.long
@pytest.mark.parametrize("name", ["coefficients", "log_width", "covariance", "share_gains", "recent", "usual", "seen"])
@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_damaged_state_never_leaves_the_range(name: str, value: float) -> None:
    engine = outlook_engine()
    readings = stream(house_kw(150))
    process(engine, readings[:120])
    assert engine.outlooks is not None
    engine.outlooks.online.state.arrays[name][...] = value
    for forecasts, outlooks in process(engine, readings[120:]):
        assert outlooks is not None
        check(outlooks[0])
        assert tuple(outlooks.point_kw[0, :5, MEAN].tolist()) == forecasts[0].path_kw


class MinutesOnly(Smooth):
    """A model without means up to the lead times."""


def test_model_without_means_raises_an_error() -> None:
    engine = Engine(Smooth(), outlook=OutlookConfig(MinutesOnly()))
    accepted = engine.accept(stream([1.0, 1.0]))
    with pytest.raises(ModelError, match="does not forecast both minutes and means"):
        engine.outlook(accepted, engine.forecast(accepted, 0))


def test_model_without_bounds_is_rejected() -> None:
    with pytest.raises(ValueError, match="must have the quantiles"):
        Engine(Smooth(), outlook=OutlookConfig(replace(OutlookModel(), quantile_levels=(0.5,))))


def test_model_of_other_measurements_is_rejected() -> None:
    with pytest.raises(ValueError, match="takes gap_kw, voltage_v, and readings have gap_kw"):
        Engine(Smooth(), outlook=OutlookConfig(replace(OutlookModel(), features=("gap_kw", "voltage_v"))))


def test_model_without_a_history_makes_outlooks_too() -> None:
    engine = outlook_engine(outlook_model=replace(OutlookModel(), history_steps=0))
    _, outlooks = process(engine, stream(house_kw(80)))[-1]
    assert outlooks is not None
    assert outlooks.lead_times_min == outlooks[0].lead_times_min == OutlookModel().lead_times_min
    check(outlooks[0])


def test_untracked_device_has_no_outlook_to_stamp_or_discard() -> None:
    engine = outlook_engine(options=OutlookOptions(max_devices=1))
    readings = [Reading(device, FIRST + minute, 1.0) for minute in range(3) for device in ("a", "b")]
    process(engine, readings, 2)
    engine.stamp([0, 1], [11, 12])
    found = engine.outlook_of("a")
    assert found is not None
    assert found.issued_at_ms == 11
    assert engine.outlooks is not None
    engine.outlooks.discard_pending(1)
    assert engine.outlook_of("b") is None


def test_calibration_without_learning_scores_outcomes() -> None:
    engine = outlook_engine(options=OutlookOptions(learns=False))
    process(engine, stream(house_kw(80)))
    assert engine.outlook_scores_of("home")[ALL_TIME].point[5].n == 80 - 10 - 1


def test_outlook_without_the_first_minute_has_other_means() -> None:
    engine = Engine(Smooth(), outlook=OutlookConfig(replace(OutlookModel(), lead_times_min=(5, 15, 60))))
    forecasts, outlooks = process(engine, stream(house_kw(80)))[-1]
    assert outlooks is not None
    assert outlooks.point_kw[0, 0, MEAN] == forecasts.gap_kw[0]
    assert outlooks.mean_kw[:, :, MEAN] == pytest.approx(means_of(outlooks.point_kw[:, :, MEAN], (5, 15, 60)), abs=1e-9)
    assert outlooks.mean_kw[0, 0, UPPER] != outlooks.point_kw[0, 0, UPPER]


def test_device_beyond_allocated_rows_has_no_outlook_yet() -> None:
    engine = outlook_engine()
    engine.accept([Reading(f"d{i}", FIRST, 1.0) for i in range(40)])
    assert engine.outlook_of("d39") is None
    assert engine.outlook_scores_of("d39")[ALL_TIME].point[0].n == 0
