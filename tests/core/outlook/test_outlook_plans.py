"""Outlooks contain the planned power of announced loads, and learn from the rest."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.outlook.options import OutlookConfig
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, UPPER
from gapcast.core.plans.plan import LoadPlan
from tests.core.outlook.runs import process, with_forecasts
from tests.support.houses import stream
from tests.support.outlook_model import OutlookModel
from tests.support.planned_houses import CHARGER_KW, MODEL, NOON, START, charger, flat

LEADS_MIN = OutlookModel().lead_times_min


def planned_engine() -> Engine:
    ensemble = Ensemble((MODEL,), EnsembleOptions(learns=False))
    return Engine(MODEL, ensemble=ensemble, outlook=OutlookConfig(OutlookModel()))


def test_outlook_contains_the_planned_power_of_each_minute() -> None:
    engine = planned_engine()
    engine.replace_plan("home", charger())
    readings = stream(flat(START, 95), NOON)
    process(engine, readings[: START - 20])
    minute = readings[START - 21].minute - NOON
    outlook = engine.outlook_of("home")
    assert outlook is not None
    on = (minute + np.arange(1, 61) >= START).astype(float)
    for at, lead in enumerate(LEADS_MIN):
        point_kw, mean_kw = 0.5 + CHARGER_KW * on[lead - 1], 0.5 + CHARGER_KW * on[:lead].mean()
        for column in (MEAN, LOWER, MEDIAN, UPPER):
            assert outlook.point_kw[at, column] == pytest.approx(point_kw, abs=0.5)
            assert outlook.mean_kw[at, column] == pytest.approx(mean_kw, abs=0.5)


def test_outlook_with_a_plan_agrees_with_the_forecast() -> None:
    engine = planned_engine()
    engine.replace_plan("home", charger())
    made = with_forecasts(process(engine, stream(flat(START, 95), NOON)))
    assert len(made) == len(flat(START, 95)) - 1
    for forecast, outlook in made:
        assert tuple(outlook.point_kw[:5, MEAN].tolist()) == forecast.path_kw
        interval = forecast.lower_kw, forecast.median_kw, forecast.upper_kw
        assert tuple(outlook.point_kw[4, LOWER:].tolist()) == interval
        assert np.array_equal(outlook.point_kw[0], outlook.mean_kw[0])


def test_planned_load_is_no_error() -> None:
    with_plan, without = planned_engine(), planned_engine()
    with_plan.replace_plan("home", charger())
    for engine in (with_plan, without):
        process(engine, stream(flat(START, 95), NOON))
    found, other = (engine.outlook_scores_of("home")[ALL_TIME].point[6].mae_kw for engine in (with_plan, without))
    assert found is not None
    assert other is not None
    assert found < other / 5


def test_device_without_a_load_in_the_next_hour_is_as_without_a_plan() -> None:
    with_plan, without = planned_engine(), planned_engine()
    with_plan.replace_plan("home", charger(start=500, end=600))
    for engine in (with_plan, without):
        process(engine, stream(flat()[:40], NOON))
    found, wanted = with_plan.outlook_of("home"), without.outlook_of("home")
    assert found is not None
    assert wanted is not None
    assert np.array_equal(found.point_kw, wanted.point_kw)


def test_other_devices_of_a_batch_have_no_planned_power() -> None:
    engine = planned_engine()
    engine.replace_plan("a", charger())
    houses = [stream(flat()[:30], NOON, device) for device in ("a", "b")]
    process(engine, [one for minute in zip(*houses, strict=True) for one in minute], 2)
    found = {device: engine.outlook_of(device) for device in "ab"}
    assert found["a"] is not None
    assert found["b"] is not None
    assert found["a"].point_kw[-1, MEAN] == pytest.approx(0.5 + CHARGER_KW, abs=0.2)
    assert found["b"].point_kw[-1, MEAN] == pytest.approx(0.5, abs=0.2)


def test_outlooks_with_a_plan_are_alike_in_any_batch() -> None:
    """A batch that ends after the plan contains windows for which the planned load is still to come."""
    runs = []
    for n_at_a_time in (1, 40):
        engine = planned_engine()
        engine.replace_plan("home", charger(start=20, end=30))
        made = with_forecasts(process(engine, stream(flat(20, 30), NOON), n_at_a_time))
        outlooks = {one.observed_minute: (one.point_kw.tolist(), one.mean_kw.tolist()) for _, one in made}
        runs.append((outlooks, engine.outlook_scores_of("home")))
    assert runs[0] == runs[1]


def test_plan_sent_after_the_forecast_applies_to_the_next_outlook() -> None:
    """An outlook agrees with its forecast, which was published without that plan."""
    engine, without = planned_engine(), planned_engine()
    readings = stream(flat()[:30], NOON)
    for one in (engine, without):
        process(one, readings[:-1])
        accepted = one.accept(readings[-1:])
        forecasts = one.forecast(accepted, 7)
        if one is engine:
            one.replace_plan("home", charger(start=31))
        one.outlook(accepted, forecasts)
    found, wanted = engine.outlook_of("home"), without.outlook_of("home")
    assert found is not None
    assert wanted is not None
    assert np.array_equal(found.point_kw, wanted.point_kw)


def test_plan_that_shows_in_the_window_discards_pending_outlooks() -> None:
    engine = planned_engine()
    readings = stream(flat(START, 95), NOON)
    process(engine, readings[: START + 10])
    n = engine.outlook_scores_of("home")[ALL_TIME].mean[5].n
    engine.replace_plan("home", charger())
    process(engine, readings[START + 10 : START + 20])
    assert engine.outlook_scores_of("home")[ALL_TIME].mean[5].n == n
    engine.replace_plan("home", LoadPlan())


def test_horizon_beyond_the_outlook_has_a_plan_too() -> None:
    model = type(MODEL)(lead_times_min=(7,), quantile_levels=(0.05, 0.5, 0.95))
    engine = Engine(model, outlook=OutlookConfig(OutlookModel()))
    engine.replace_plan("home", charger())
    process(engine, stream(flat()[:30], NOON))
    outlook = engine.outlook_of("home")
    assert outlook is not None
    assert outlook.point_kw[-1, MEAN] == pytest.approx(0.5 + CHARGER_KW, abs=0.2)
