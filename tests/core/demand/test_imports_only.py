"""Demands of only imported power: an exported minute counts as 0, and gives its window no allowance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distributions.distribution import _STEPS_KW
from gapcast.core.demand.distributions.planned_power import planned_power
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.demand.step.demand_batch import DemandBatch, count_imports
from gapcast.core.engine import Engine
from gapcast.core.outlook.outlook import ModelMeans
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.core.snapshots.snapshot_restoration import restore_snapshot
from gapcast.core.snapshots.state_transfer import transfer_state
from gapcast.core.time_grid import MINUTE_MS
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of, use_numpy

NET = SiteDemandOptions(DemandOptions(limit_kw=2.0))
IMPORTS = SiteDemandOptions(DemandOptions(limit_kw=2.0, imports_only=True))
#: Quantiles are at least a fixed step apart, so that they are not all 0 in a window without any import.
RESOLUTION_KW = float(_STEPS_KW[-1])
EXPORTING = [-3.0] * 70


def after(powers_kw: list[float], site: SiteDemandOptions, batch: int = 1) -> tuple[Engine, Demand]:
    engine = demand_engine(site)
    made = process(engine, stream_of(powers_kw), batch)
    return engine, made[-1][len(made[-1]) - 1]


def test_exported_minute_counts_as_nothing_so_far_and_in_the_peak() -> None:
    powers_kw = [3.0] * 5 + [-3.0] * 10 + [2.0, -4.0]
    net, imports = after(powers_kw, NET)[1], after(powers_kw, IMPORTS)[1]
    assert (net.running.so_far_kw, imports.running.so_far_kw) == (-1.0, 1.0)
    assert net.month_peak_kw == -1.0
    assert imports.month_peak_kw == 1.0


def test_exported_energy_makes_no_room_in_its_window() -> None:
    """Ten of fifteen minutes exported 3 kW: in the remaining five, 6 kW reach the limit of 2 kW."""
    net, imports = after(EXPORTING, NET)[1].running, after(EXPORTING, IMPORTS)[1].running
    assert net.headroom_kw > 12
    assert 5.5 < imports.headroom_kw <= 6.0
    assert imports.so_far_kw == 0
    assert net.upper_kw < 0 <= imports.lower_kw <= imports.median_kw <= imports.upper_kw
    assert imports.expected_kw == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_lower_bound_without_imports_is_zero(is_compiled: bool) -> None:
    """A window of exactly 0 kW is within its interval."""
    engine = demand_engine(IMPORTS)
    if not is_compiled:
        use_numpy(engine)
    demand = process(engine, stream_of(EXPORTING))[-1][0]
    for window in (demand.running, demand.next):
        assert window.lower_kw == 0.0
        assert window.lower_kw <= window.expected_kw


def test_headroom_request_counts_only_imports() -> None:
    engine, demand = after(EXPORTING, IMPORTS)
    left_min = demand.running.end_minute - MONDAY - len(EXPORTING)
    risks = engine.demands.load_risks("home", engine.outlook_of("home"), HeadroomRequest(0.5, left_min))
    assert risks is not None
    assert risks.answer(100.0).max_kw == pytest.approx(demand.running.headroom_kw, abs=1e-3)


def test_window_begun_from_known_minutes_counts_only_imports() -> None:
    """The limit was added by a new configuration: the minutes of the window are already known."""
    engine = demand_engine(None)
    process(engine, stream_of([2.0, -4.0, 1.0]))
    begun = demand_engine(IMPORTS)
    transfer_state(engine, begun)
    demand = process(begun, [Reading("home", MONDAY + 3, 1.0)])[-1][0]
    assert (demand.running.n_known, demand.running.so_far_kw) == (4, 1.0)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_house_that_exports_nothing_has_the_same_demand(batch: int) -> None:
    powers_kw = [1.0 + 0.3 * (i % 5) for i in range(61)]
    assert after(powers_kw, IMPORTS, batch)[1] == after(powers_kw, NET, batch)[1]


def test_only_devices_of_which_imports_count_are_changed() -> None:
    site = SiteDemandOptions(NET.default, {"roof": IMPORTS.default})
    both = [one for pair in zip(stream_of(EXPORTING), stream_of(EXPORTING, device="roof"), strict=True) for one in pair]
    made = process(demand_engine(site), both, 2)[-1]
    found = {one.device: one.running for one in (made[0], made[1])}
    assert found["home"] == after(EXPORTING, NET)[1].running
    assert found["roof"] == after(EXPORTING, IMPORTS)[1].running


def counted(own_kw: F64, leads_min: tuple[int, ...], minutes_kw: F64 | None = None) -> DemandBatch:
    """A batch of one reading with the outlook's means ``own_kw`` ``[K, 4]`` and the plan ``minutes_kw`` ``[M]``."""
    means = ModelMeans(own_kw[np.newaxis, :, 1:], np.array([-50.0]))
    windows = np.array([[-1.0, 2.0]], dtype=np.float32)
    rows_kw, planned = own_kw[np.newaxis], planned_power([minutes_kw])
    points_kw = np.zeros((1, len(leads_min), 4))
    batch = DemandBatch([0], [0], [-2.0], [], windows, means, rows_kw[..., 0], points_kw, 0, planned)
    found = count_imports(batch, rows_kw, [0], leads_min)
    assert batch.windows.tolist() == [[-1.0, 2.0]], "the batch itself stays"
    assert (found.windows.tolist(), found.means.floor_kw.tolist(), found.last_kw) == ([[0.0, 2.0]], [0.0], [0.0])
    return found


@given(
    between_kw=st.lists(st.floats(-20, 20), min_size=3, max_size=3),
    down_kw=st.floats(0.01, 5),
    up_kw=st.floats(0.01, 5),
)
def test_exported_minutes_make_no_room_in_later_ones(between_kw: list[float], down_kw: float, up_kw: float) -> None:
    """Minutes 1 to 5, 6 to 15 and 16 to 30: none counts as negative, and later minutes contain only their imports."""
    leads, lengths = np.array([5.0, 15.0, 30.0]), np.array([5.0, 10.0, 15.0])
    columns = np.array(between_kw)[:, np.newaxis] + np.array([0.0, -down_kw, 0.0, up_kw])
    mean_kw = np.cumsum(columns * lengths[:, np.newaxis], axis=0) / leads[:, np.newaxis]
    found = counted(mean_kw, (5, 15, 30))
    imported_kw = np.diff(found.mean_kw[0] * leads, prepend=0.0) / lengths
    assert (imported_kw >= np.maximum(between_kw, 0) - 1e-6).all()
    if min(between_kw) >= down_kw:
        assert found.mean_kw[0] == pytest.approx(mean_kw[:, 0])


def test_planned_load_counts_in_full_beside_a_surplus() -> None:
    minutes_kw = np.full(5, 3.0)
    found = counted(np.array([[-5.0, -5.0, -5.0, -5.0]]), (5,), minutes_kw)
    assert found.planned is not None
    assert found.mean_kw.tolist() == [[0.0]]
    for kw in found.planned:
        assert kw.tolist() == [minutes_kw.tolist()]


def test_planned_generation_makes_no_room_in_other_minutes() -> None:
    """Minutes 1 to 5 import 4 kW, and 6 to 15 have a battery of 3 kW, of which the house takes 1 kW, at most 1.5 kW."""
    own_kw = np.array([[4.0, 4.0, 4.0, 4.0], [2.0, 5 / 3, 2.0, 7 / 3]])
    minutes_kw = np.repeat([0.0, -3.0], [5, 10])
    found = counted(own_kw, (5, 15), minutes_kw)
    assert found.planned is not None
    assert found.mean_kw == pytest.approx(np.array([[4.0, 2.0]]))
    assert found.planned.minutes_kw.tolist() == [minutes_kw.tolist()]
    assert found.planned.expected_kw == pytest.approx(np.repeat([[0.0, -1.0]], [5, 10], axis=1))
    assert found.planned.remaining_kw == pytest.approx(np.repeat([[0.0, -1.5]], [5, 10], axis=1))


@pytest.mark.parametrize("is_compiled", [True, False])
def test_announced_battery_pays_nothing_back(is_compiled: bool) -> None:
    """A window of 1.5 kW had 4 kW for seven minutes: what an announced battery exports afterwards is no help."""
    engine = demand_engine(SiteDemandOptions(DemandOptions(limit_kw=1.5, imports_only=True)))
    if not is_compiled:
        use_numpy(engine)
    start = MONDAY + 75
    process(engine, stream_of([0.5 + 0.01 * (i % 5) for i in range(start - MONDAY)]))
    battery = PlannedLoad(-3.0, (start + 7) * MINUTE_MS, (start + 90) * MINUTE_MS)
    engine.replace_plan("home", LoadPlan.from_loads([battery]))
    process(engine, stream_of([4.0] * 7, start))
    for reading in stream_of([-2.5] * 7, start + 7):
        demand = process(engine, [reading])[0][0]
        for window in (demand.running, demand.next):
            assert 0 <= window.lower_kw <= window.median_kw <= window.upper_kw
            assert window.expected_kw >= 0
        assert demand.running.lower_kw >= 28 / 15  # 28 kW minutes, of the limit's 22.5
        assert demand.running.p_exceed > 0.999
        assert demand.running.headroom_kw < 0
        risks = engine.demands.load_risks("home", engine.outlook_of("home"), HeadroomRequest(0.5, 1))
        assert risks is not None
        assert risks.answer(100.0).p_exceed_without > 0.999


def test_next_window_has_no_room_from_minutes_before_it() -> None:
    running, following = after(EXPORTING, IMPORTS)[1].running, after(EXPORTING, IMPORTS)[1].next
    for window in (running, following):
        assert 0 <= window.lower_kw <= window.median_kw <= window.upper_kw
        assert window.expected_kw >= window.lower_kw - RESOLUTION_KW
    assert following.headroom_kw <= 2.0


@pytest.mark.parametrize(
    ("before", "after", "so_far_kw"),
    [(NET, NET, 0.0), (NET, IMPORTS, 1.0), (IMPORTS, NET, 0.0), (IMPORTS, IMPORTS, 1.0)],
)
def test_restart_sums_the_window_by_its_imports_only(
    before: SiteDemandOptions, after: SiteDemandOptions, so_far_kw: float
) -> None:
    """The stored sum is of net power, or of imports."""
    engine, restarted = demand_engine(before), demand_engine(after)
    process(engine, stream_of([2.0, -4.0, 1.0]))
    assert restore_snapshot(restarted, capture_snapshot(engine)) == ("", [])
    assert process(restarted, [Reading("home", MONDAY + 3, 1.0)])[-1][0].running.so_far_kw == so_far_kw


def test_restart_with_imports_only_changes_no_digit() -> None:
    """Powers in the window of readings are rounded to float32, the stored sum is not."""
    engine, restarted = demand_engine(IMPORTS), demand_engine(IMPORTS)
    process(engine, stream_of([0.1, 0.3, 0.7]))
    assert restore_snapshot(restarted, capture_snapshot(engine)) == ("", [])
    next_reading = [Reading("home", MONDAY + 3, 0.1)]
    assert process(restarted, next_reading)[-1][0] == process(engine, next_reading)[-1][0]
