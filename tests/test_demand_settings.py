"""``[demand]`` and ``[[demand.devices]]``: the options that follow, and every error."""

from __future__ import annotations

from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.config.loader import load, nested
from gapcast.config.settings import Settings
from gapcast.core.billing.options import DemandOptions
from gapcast.core.demand.distributions.distribution import LEVELS, PowerDistributions
from gapcast.core.demand.headroom.fuse import z_of
from gapcast.core.errors import SettingsError

PARIS = ZoneInfo("Europe/Paris")


def demand(**keys: Any) -> dict[str, Any]:
    return {"demand": keys}


def test_demand_without_keys_has_no_limit() -> None:
    site = load(None, {}, {}).demand.site_options(PARIS)
    assert not site.is_limited
    assert site.default == DemandOptions()
    assert site.zone is PARIS


def test_demand_keys_become_options() -> None:
    settings = load(
        None, {}, demand(window_min=30, limit_kw=4, fuse_kw=9.2, risk=0.1, hours="07:00-09:00, 22:00-06:30")
    )
    options = settings.demand.site_options(PARIS).for_device("home")
    assert (options.window_min, options.limit_kw, options.by_month_peak) == (30, 4.0, False)
    assert (options.fuse_kw, options.risk) == (9.2, 0.1)
    assert options.active.hours == ((420, 540), (1320, 390))
    assert settings.demand.is_limited


@pytest.mark.parametrize(
    ("text", "weekdays"),
    [("mon-fri", {0, 1, 2, 3, 4}), ("Sat-mon", {5, 6, 0}), ("wed, sun", {2, 6}), ("", set(range(7)))],
)
def test_demand_weekdays_may_pass_the_end_of_the_week(text: str, weekdays: set[int]) -> None:
    assert load(None, {}, demand(weekdays=text)).demand.options.active.weekdays == weekdays


@pytest.mark.parametrize(
    ("text", "months"), [("1-3,11-12", {1, 2, 3, 11, 12}), ("11-2", {11, 12, 1, 2}), ("6", {6}), ("", {*range(1, 13)})]
)
def test_demand_months_may_pass_the_end_of_the_year(text: str, months: set[int]) -> None:
    assert load(None, {}, demand(months=text)).demand.options.active.months == months


def test_demand_floor_is_no_problem_of_a_small_meter_until_it_is_used() -> None:
    limits = {"limits": {"max_kw": 1.0}}
    assert load(None, {}, limits).demand.floor_kw == 2.5
    assert load(None, {}, {**limits, **demand(limit_kw=0.5)}).demand.is_limited
    with pytest.raises(SettingsError, match=r"demand\.floor_kw: 2\.5 kW is above limits\.max_kw \(1\): lower it"):
        load(None, {}, {**limits, **demand(limit_kw="month_peak")})


def test_demand_hours_until_24_00_end_the_day() -> None:
    assert load(None, {}, demand(hours="00:00-24:00")).demand.options.active.hours == ((0, 1440),)


def test_demand_keys_from_the_environment_work_like_others() -> None:
    environment = {"GAPCAST_DEMAND__LIMIT_KW": "2.5", "GAPCAST_DEMAND__WINDOW_MIN": "60", "GAPCAST_DEMAND__RISK": "0.1"}
    options = load(None, environment, {}).demand.options
    assert (options.limit_kw, options.window_min, options.risk) == (2.5, 60, 0.1)
    assert load(None, {"GAPCAST_DEMAND__LIMIT_KW": "month_peak"}, {}).demand.options.by_month_peak
    assert load(None, {}, nested("demand.limit_kw", "3")).demand.options.limit_kw == 3.0
    assert load(None, {}, nested("demand.limit_kw", "100")).demand.options.limit_kw == 100.0, "that of readings"


def test_demand_of_a_device_replaces_single_keys() -> None:
    devices = [
        {"device": "car", "limit_kw": "none"},
        {"device": "mill", "risk": 0.2, "fuse_kw": 20.0, "imports_only": True},
    ]
    site = load(None, {}, demand(limit_kw="month_peak", peak_days=3, floor_kw=0, devices=devices)).demand.site_options(
        PARIS
    )
    assert not site.for_device("car").is_limited
    mill = site.for_device("mill")
    assert (mill.by_month_peak, mill.n_peak_days, mill.floor_kw, mill.risk, mill.fuse_kw) == (True, 3, 0, 0.2, 20.0)
    assert site.for_device("home").risk == 0.05
    assert [site.for_device(name).imports_only for name in ("home", "mill")] == [False, True]
    assert site.any_imports_only


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            {"window_min": 7},
            "window_min: windows must divide the hour evenly: use 5, 6, 10, 12, 15, 20, 30 or 60 minutes (it is 7)",
        ),
        ({"limit_kw": 0}, 'demand.limit_kw: must be a number of kW, at least 0.01, "month_peak" or "none" (it is 0)'),
        ({"limit_kw": "peak"}, """or "none" (it is 'peak')"""),
        ({"limit_kw": True}, '"none" (it is true)'),
        ({"limit_kw": [1]}, '"none" (it is [1])'),
        ({"limit_kw": float("nan")}, '"none" (it is nan)'),
        ({"limit_kw": float("inf")}, '"none" (it is inf)'),
        ({"limit_kw": 10**310}, 'demand.limit_kw: must be a number of kW, at least 0.01, "month_peak" or "none"'),
        ({"limit_kw": 100.5}, "demand.limit_kw: 100.5 kW is above limits.max_kw (100): lower it"),
        ({"limit_kw": 2500}, "demand.limit_kw: 2500 kW is above limits.max_kw (100): give it in kW"),
        ({"floor_kw": 101.0}, "demand.floor_kw: 101 kW is above limits.max_kw (100): lower it, or raise limits.max_kw"),
        ({"floor_kw": -1}, "demand.floor_kw: must be at least 0"),
        ({"fuse_kw": 0}, "demand.fuse_kw: must be greater than 0"),
        ({"peak_days": 0}, "demand.peak_days: must be at least 1"),
        ({"risk": 0.0}, "demand.risk: must be a probability from 0.000001 to 0.5, as 0.05 for 5 % (it is 0.0)"),
        ({"risk": 1e-17}, "demand.risk: must be a probability from 0.000001 to 0.5, as 0.05 for 5 % (it is 1e-17)"),
        ({"risk": 5}, "demand.risk: must be a probability from 0.000001 to 0.5, as 0.05 for 5 % (it is 5)"),
        ({"hours": "7-23"}, "demand.hours: '7-23' is not a range of times: write it as in 07:00-23:00"),
        ({"hours": "07:00"}, "demand.hours: '07:00' is not a range of times"),
        ({"hours": "24:00-07:00"}, "demand.hours: '24:00-07:00' is not a range of times"),
        ({"hours": "07:00-07:00"}, "demand.hours: '07:00-07:00' is empty: leave hours empty for the whole day"),
        ({"weekdays": "mon-fry"}, "demand.weekdays: 'fry' is not a day: write it as in mon-fri or sat,sun"),
        ({"weekdays": "montag"}, "demand.weekdays: 'montag' is not a day"),
        ({"months": "1-13"}, "demand.months: '13' is not a month: write them as in 1-3,11-12"),
        ({"months": "0"}, "demand.months: '0' is not a month"),
        ({"limits_kw": 3}, "demand.limits_kw: there is no such key"),
        ({"devices": [{"limit_kw": 3}]}, "demand.devices.0.device: is missing"),
        ({"devices": [{"device": "a/b"}]}, "demand.devices.0.device: cannot name a device"),
        (
            {"devices": [{"device": "a"}, {"device": "a"}]},
            "demand: devices.1.device: 'a' is set by devices.0 already: merge the two",
        ),
        ({"devices": [{"device": "a", "limit_kw": 300}]}, "demand.devices.0.limit_kw: 300 kW is above limits.max_kw"),
    ],
)
def test_demand_key_that_is_impossible_is_an_error(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(None, {}, demand(**keys))
    assert problem in str(error.value)


def test_demand_of_the_lowest_risk_has_finite_powers() -> None:
    """With a risk of 1e-17 the headroom was infinite, and every demand raised."""
    risk = load(None, {}, demand(limit_kw=2.0, fuse_kw=4.0, risk=0.000_001)).demand.options.risk
    assert all(isfinite(z_of(risk, n_minutes)) for n_minutes in range(1, 61))
    assert isfinite(PowerDistributions.from_quantiles(np.array([LEVELS])).quantile(1.0 - risk)[0])


@pytest.mark.parametrize("outlook", [{"enabled": False}, {"max_devices": 0}])
@pytest.mark.parametrize(("keys", "key"), [({"limit_kw": 3}, "limit_kw"), ({"fuse_kw": 9}, "fuse_kw")])
def test_demand_without_outlook_is_an_error(outlook: dict[str, Any], keys: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(None, {}, {"outlook": outlook, **demand(**keys)})
    assert str(error.value) == (
        f"configuration: demand.{key}: the demand is made from the outlook, which is off: set outlook.enabled = true "
        "and outlook.max_devices above 0"
    )


def test_demand_without_limit_needs_no_outlook() -> None:
    assert not Settings.model_validate({"outlook": {"enabled": False}}).demand.is_limited
