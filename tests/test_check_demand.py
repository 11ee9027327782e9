"""The demand of ``gapcast check``: each limit as it applies."""

from __future__ import annotations

from typing import Any

import pytest

from gapcast.check.demand import check_demand
from gapcast.check.finding import CheckInput, Severity
from gapcast.config.settings import Settings


def shown(**demand: Any) -> list[str]:
    """Return the lines about ``demand``, all of them ``ok``."""
    settings = Settings.model_validate({"demand": demand, "site": {"timezone": "Europe/Brussels"}})
    findings = list(check_demand(CheckInput(settings, {}, 0.0)))
    assert {(one.severity, one.what) for one in findings} <= {(Severity.OK, "demand")}
    return [one.text for one in findings]


def test_check_demand_without_a_limit_shows_nothing() -> None:
    assert shown() == []


def test_check_demand_of_a_switched_off_limit_shows_nothing() -> None:
    assert shown(limit_kw="none", hours="07:00-23:00") == []


def test_check_demand_with_other_keys_alone_names_the_missing_limit() -> None:
    settings = Settings.model_validate({"demand": {"hours": "07:00-23:00", "floor_kw": 4.0}})
    (found,) = check_demand(CheckInput(settings, {}, 0.0))
    assert (found.severity, found.text) == (Severity.WARN, "[demand] has no limit, so there is no demand")
    assert "limit_kw" in (found.fix or "")


def test_check_demand_shows_the_limit_of_each_device() -> None:
    devices = [{"device": "flat", "limit_kw": 4.5, "window_min": 30}, {"device": "shed", "limit_kw": "none"}]
    assert shown(limit_kw="month_peak", floor_kw=2, devices=devices) == [
        "flat: limit 4.5 kW; windows of 30 min, Europe/Brussels",
        "shed: no limit",
        "every other device: limit: the month's peak, at least 2 kW; windows of 15 min, Europe/Brussels",
    ]


def test_check_demand_of_a_fuse_alone_has_no_limit() -> None:
    assert shown(fuse_kw=9.2) == ["every device: no limit; fuse 9.2 kW; windows of 15 min, Europe/Brussels"]


def test_check_demand_shows_when_and_how_a_limit_applies() -> None:
    limit = {"limit_kw": "month_peak", "floor_kw": 0, "window_min": 60, "imports_only": True, "risk": 0.1}
    times = {"hours": "16:00-19:00", "weekdays": "mon-fri", "months": "5-10"}
    home = "limit: the month's peak, at least 0 kW; windows of 60 min, Europe/Brussels"
    devices = [
        {"device": "home", **limit},
        {"device": "flat", "limit_kw": 3, "hours": ""},
        {"device": "shed", "limit_kw": "none", "fuse_kw": 9},
    ]
    assert shown(devices=devices, **times) == [
        f"home: {home}; 16:00-19:00, mon-fri, months 5-10; imported power alone; risk 0.1",
        "flat: limit 3 kW; windows of 15 min, Europe/Brussels; mon-fri, months 5-10",
        "shed: no limit; fuse 9 kW; windows of 15 min, Europe/Brussels",
    ]


NUMBER = {"preset": "number"}
JSON = {"topic": "meter/{device}", "value": "kw", "kind": "minute"}
HOME_ALONE = {"devices": [{"device": "home", "limit_kw": 2.5}]}


@pytest.mark.parametrize(
    ("sources", "demand", "topics"),
    [
        ([NUMBER], {}, []),
        ([NUMBER], {"limit_kw": 2.5}, ["gap/{device}/power"]),
        ([NUMBER], HOME_ALONE, ["gap/{device}/power"]),
        ([NUMBER, {"preset": "dsmr-reader"}], HOME_ALONE, []),
        ([NUMBER | {"device": "home"}], HOME_ALONE, ["gap/{device}/power"]),
        ([NUMBER | {"device": "shed"}, {"preset": "dsmr-reader"}], HOME_ALONE, []),
        ([NUMBER | {"kind": "samples"}], {"limit_kw": 2.5}, []),
        ([{"preset": "gapcast"}], {"limit_kw": 2.5}, []),
        ([JSON], {"fuse_kw": 4}, ["meter/{device}"]),
        ([JSON | {"time": "t"}], {"limit_kw": 2.5}, []),
        ([JSON | {"time": "t", "time_form": "arrival"}], {"limit_kw": 2.5}, ["meter/{device}"]),
    ],
)
def test_check_demand_warns_of_minutes_without_a_time(
    sources: list[dict[str, Any]], demand: dict[str, Any], topics: list[str]
) -> None:
    settings = Settings.model_validate({"demand": demand, "sources": sources})
    findings = check_demand(CheckInput(settings, {}, 0.0))
    warnings = [one for one in findings if one.severity is Severity.WARN]
    assert [one.text.partition(": ")[0] for one in warnings] == topics
    for one in warnings:
        assert one.fix.startswith('publish {"ts": ' if "preset" in sources[0] else 'set time = "path"')
        assert one.fix.endswith('set kind = "samples"')


def test_check_demand_shows_the_first_devices_of_many() -> None:
    lines = shown(devices=[{"device": f"d{i}", "limit_kw": 3} for i in range(52)])
    assert (len(lines), lines[-1]) == (51, "and 2 more devices")
