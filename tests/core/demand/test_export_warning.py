"""Exported power that makes room in the windows of a device is reported once, by the limit in effect."""

from __future__ import annotations

import pytest

from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from tests.core.demand.runs import MONDAY, demand_engine, stream_of


@pytest.mark.parametrize(
    ("options", "is_new"),
    [
        (DemandOptions(limit_kw=4.0), True),
        (DemandOptions(by_month_peak=True), True),
        (DemandOptions(limit_kw=4.0, imports_only=True), False),
        (DemandOptions(fuse_kw=9.2), False),
    ],
)
def test_export_is_new_once_for_a_limit_of_windows(options: DemandOptions, *, is_new: bool) -> None:
    engine = demand_engine(SiteDemandOptions(options))
    assert not engine.demands.is_new_export("home"), "it has no readings"
    engine.accept(stream_of([-1.0] * 3, MONDAY))
    assert [engine.demands.is_new_export("home") for _ in range(2)] == [is_new, False]


def test_export_is_new_again_for_a_forgotten_device() -> None:
    engine = demand_engine(SiteDemandOptions(DemandOptions(fuse_kw=9.2)))
    engine.accept(stream_of([-1.0] * 3, MONDAY))
    engine.demands.set_limit("home", 4.0)
    assert engine.demands.is_new_export("home")
    engine.forget("home")
    engine.accept(stream_of([-1.0] * 3, MONDAY))
    engine.demands.set_limit("home", 4.0)
    assert engine.demands.is_new_export("home")
