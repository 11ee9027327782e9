"""Month's peaks and set limits that a changed configuration does not use are named, with the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.demand.state.discarded_state import discarded_state
from gapcast.core.demand.state.stored_state import LIMIT_DEVICE, LIMIT_KW, TRACKED
from gapcast.core.engine import Engine
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of

SITE = SiteDemandOptions(DemandOptions(by_month_peak=True, floor_kw=0.5))
NO_DEMAND = "it has no demand now"


@pytest.fixture
def snapshot() -> Snapshot:
    """Return the state of a device with a peak in the window from 00:15, and one in its first window."""
    engine = demand_engine(SITE)
    process(engine, [*stream_of([1.0] * 15 + [2.0] * 15), *stream_of([1.0] * 5, MONDAY + 30, "mill")])
    return capture_snapshot(engine)


def reasons(engine: Engine, snapshot: Snapshot) -> dict[str, str]:
    restore_snapshot(engine, snapshot)
    forecaster = engine.demands.forecaster
    return discarded_state(None if forecaster is None else forecaster.windows, snapshot.devices, snapshot.demand)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, ""),
        ({"floor_kw": 1.0}, ""),
        ({"window_min": 30}, "window_min is 30, and was 15"),
        ({"active": ActiveTimes(hours=((0, 15),))}, "the limit no longer applies to windows with a peak"),
        ({"active": ActiveTimes(hours=((15, 30),))}, ""),
        ({"by_month_peak": False}, NO_DEMAND),
    ],
)
def test_discarded_state_names_changed_keys(snapshot: Snapshot, changed: dict[str, Any], reason: str) -> None:
    options = replace(SITE.default, **changed)
    engine = demand_engine(SiteDemandOptions(options, {"other": DemandOptions(limit_kw=1.0)}))
    assert reasons(engine, snapshot) == ({"home": reason} if reason else {})


def test_discarded_state_without_any_limit_names_set_limits() -> None:
    engine = demand_engine(SITE)
    process(engine, stream_of([1.0] * 15))
    engine.demands.set_limit("later", 2.0)
    snapshot = capture_snapshot(engine)
    assert reasons(demand_engine(None), snapshot) == {"home": NO_DEMAND, "later": NO_DEMAND}
    assert reasons(demand_engine(SITE), snapshot) == {}
    assert reasons(demand_engine(None), capture_snapshot(demand_engine(None))) == {}


def test_discarded_state_skips_past_months_and_devices_without_windows(snapshot: Snapshot) -> None:
    changed = SiteDemandOptions(replace(SITE.default, window_min=30))
    assert reasons(demand_engine(changed, options=OutlookOptions(max_devices=0)), snapshot) == {}
    snapshot.demand["month"][0] -= 1
    assert reasons(demand_engine(changed), snapshot) == {}


def test_discarded_state_ignores_damaged_columns(snapshot: Snapshot) -> None:
    del snapshot.demand[LIMIT_DEVICE], snapshot.demand[LIMIT_KW]
    assert reasons(demand_engine(None), snapshot) == {"home": NO_DEMAND}
    snapshot.demand[TRACKED][0] = 99
    assert reasons(demand_engine(None), snapshot) == {}
    del snapshot.demand["start"]
    assert reasons(demand_engine(None), snapshot) == {}
