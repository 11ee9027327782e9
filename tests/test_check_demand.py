"""The demand of ``gapcast check``: each limit as it applies."""

from __future__ import annotations

from typing import Any

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


def test_check_demand_shows_the_limit_of_each_device() -> None:
    devices = [{"device": "flat", "limit_kw": 4.5, "window_min": 30}, {"device": "shed", "limit_kw": "none"}]
    assert shown(limit_kw="month_peak", floor_kw=2, devices=devices) == [
        "flat: limit 4.5 kW; windows of 30 min, Europe/Brussels",
        "shed: no limit",
        "every other device: limit: the month's peak, at least 2 kW; windows of 15 min, Europe/Brussels",
    ]


def test_check_demand_of_a_fuse_alone_has_no_limit() -> None:
    assert shown(fuse_kw=9.2) == ["every device: no limit; fuse 9.2 kW; windows of 15 min, Europe/Brussels"]


def test_check_demand_shows_the_first_devices_of_many() -> None:
    lines = shown(devices=[{"device": f"d{i}", "limit_kw": 3} for i in range(52)])
    assert (len(lines), lines[-1]) == (51, "and 2 more devices")
