"""Demands of imported power alone: an exported minute counts as 0, and makes no room in its window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.demand.step.demand_batch import DemandBatch, imported
from gapcast.core.engine import Engine
from gapcast.core.outlook.outlook import ModelMeans
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.state_transfer import transfer_state
from tests.core.demand.runs import MONDAY, demand_engine, process, stream_of

NET = SiteDemandOptions(DemandOptions(limit_kw=2.0))
IMPORTS = SiteDemandOptions(DemandOptions(limit_kw=2.0, imports_only=True))
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
    """Ten of fifteen minutes exported 3 kW: five remain, in which 6 kW are the limit of 2 kW."""
    net, imports = after(EXPORTING, NET)[1].running, after(EXPORTING, IMPORTS)[1].running
    assert net.headroom_kw > 12
    assert 5.5 < imports.headroom_kw <= 6.0
    assert imports.so_far_kw == 0
    assert net.upper_kw < 0 <= imports.lower_kw <= imports.median_kw <= imports.upper_kw
    assert imports.expected_kw == pytest.approx(0.0, abs=0.1)


def test_headroom_request_counts_imports_alone() -> None:
    engine, demand = after(EXPORTING, IMPORTS)
    left_min = demand.running.end_minute - MONDAY - len(EXPORTING)
    risks = engine.demands.load_risks("home", engine.outlook_of("home"), HeadroomRequest(0.5, left_min))
    assert risks is not None
    assert risks.answer(100.0).max_kw == pytest.approx(demand.running.headroom_kw, abs=1e-3)


def test_window_begun_from_known_minutes_counts_imports_alone() -> None:
    """The limit came with a new configuration: the minutes of the window are known from before."""
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


@given(
    centre_kw=st.floats(-20, 20),
    down_kw=st.floats(0.01, 5),
    up_kw=st.floats(0.01, 5),
    skew=st.floats(-0.5, 0.5),
)
def test_mean_of_imports_is_at_least_the_positive_part(
    centre_kw: float, down_kw: float, up_kw: float, skew: float
) -> None:
    """It is the net mean where no power is negative."""
    mean_kw = centre_kw + skew * min(down_kw, up_kw)
    columns = np.array([[[mean_kw, centre_kw - down_kw, centre_kw, centre_kw + up_kw]]])
    means = ModelMeans(columns[..., 1:], np.zeros((1, 1)), np.array([-50.0]))
    windows = np.array([[-1.0, 2.0]], dtype=np.float32)
    batch = DemandBatch([0], [0], [2.0], [], windows, means, columns[..., 0], np.zeros((1, 1, 4)), 0)
    found = imported(batch, columns, [0])
    assert found.mean_kw[0, 0] >= max(mean_kw, 0) - 1e-9
    if centre_kw - down_kw >= 0:
        assert found.mean_kw[0, 0] == pytest.approx(mean_kw)
    assert found.windows.tolist() == [[0.0, 2.0]]
    assert np.array_equal(found.means.quantiles_kw, np.maximum(columns[..., 1:], 0))
    assert found.means.floor_kw.tolist() == [0.0]
    assert batch.windows.tolist() == [[-1.0, 2.0]]
