"""Minutes of the running window that nobody measured are as uncertain as the minutes to come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.billing.device_windows import WindowState
from gapcast.core.billing.options import ActiveTimes, DemandOptions, SiteDemandOptions
from gapcast.core.billing.registers import RunningRegister
from gapcast.core.billing.window_demands import WindowDemand, WindowDemands
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.distributions.distribution import LEVELS, PowerDistributions
from gapcast.core.demand.distributions.window_forecasts import columns_of, forecast_windows, minutes_ahead
from gapcast.core.demand.documents.document import headroom_w
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.engine import Engine
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from tests.core.demand.runs import LIMITED, MONDAY, demand_engine, process, stream_of, use_numpy
from tests.support.examples import examples

POWERS_KW = [1.0 + 0.1 * (i % 7) for i in range(60)]
#: The first minute after the gap: ten minutes of the window that begins at 60 are unmeasured.
AFTER_GAP = 70


@pytest.fixture(params=["numpy", pytest.param("compiled", marks=pytest.mark.compiled)])
def arithmetic(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def engine_of(arithmetic: str, site: SiteDemandOptions = LIMITED) -> Engine:
    engine = demand_engine(site)
    if arithmetic == "numpy":
        use_numpy(engine)
    return engine


def after_gap(engine: Engine, n: int = 3) -> Demands:
    """Return the newest demand of ``engine`` after an hour, a gap of ten minutes, and ``n`` minutes."""
    process(engine, stream_of(POWERS_KW))
    return process(engine, stream_of([1.2] * n, MONDAY + AFTER_GAP))[-1]


def part_of_open_minutes(one: WindowDemand, window_kw: float) -> float:
    """Return the mean of the unknown minutes of ``one`` in which its mean is ``window_kw``."""
    length_min = one.end_minute - one.start_minute
    return (length_min * window_kw - one.n_known * (one.so_far_kw or 0.0)) / (length_min - one.n_known)


def test_gap_leaves_its_minutes_to_the_distribution(arithmetic: str) -> None:
    running = after_gap(engine_of(arithmetic))[0].running
    assert (running.elapsed_min, running.n_known, running.unmeasured_min) == (13, 3, 10)
    assert running.so_far_kw == pytest.approx(1.2)
    whole = engine_of(arithmetic)
    process(whole, stream_of(POWERS_KW))
    complete = process(whole, stream_of([1.2] * 13, MONDAY + 60))[-1][0].running
    assert complete.unmeasured_min == 0
    assert running.upper_kw - running.lower_kw > 1.4 * (complete.upper_kw - complete.lower_kw)
    assert running.headroom_kw < complete.headroom_kw


def test_headroom_after_a_gap_is_added_in_the_remaining_minutes(arithmetic: str) -> None:
    """With 12 of 15 minutes unknown, two of them to come, these two may draw six times what the twelve may."""
    site = SiteDemandOptions(DemandOptions(limit_kw=2.0, risk=0.05))
    running = after_gap(engine_of(arithmetic, site))[0].running
    room_kw = part_of_open_minutes(running, 2.0) - part_of_open_minutes(running, running.upper_kw)
    assert running.headroom_kw == pytest.approx(room_kw * 12 / 2)


def test_headroom_without_a_limit_after_a_gap_is_below_the_highest_power(arithmetic: str) -> None:
    site = SiteDemandOptions(DemandOptions(limit_kw=2.0, active=ActiveTimes(hours=((0, 60),))))
    running = after_gap(engine_of(arithmetic, site))[0].running
    assert running.limit_kw is None
    assert running.headroom_kw == pytest.approx(100.0 - part_of_open_minutes(running, running.upper_kw))


def test_headroom_request_after_a_gap_agrees_with_the_demand(arithmetic: str) -> None:
    engine = engine_of(arithmetic)
    running = after_gap(engine)[0].running
    risks = engine.demands.load_risks("home", engine.outlook_of("home"), HeadroomRequest(0.5, 2))
    assert risks is not None
    found = risks.answer(100.0)
    assert found.p_exceed_without == pytest.approx(running.p_exceed, abs=1e-6)
    assert round(found.max_kw * 1_000) == pytest.approx(headroom_w(running.headroom_kw), abs=2)


def test_register_knows_the_minutes_of_a_gap(arithmetic: str) -> None:
    engine = engine_of(arithmetic)
    after_gap(engine, 2)
    minute = MONDAY + AFTER_GAP + 2
    engine.demands.record_running_register("home", RunningRegister(0.8, (minute + 1) * MINUTE_MS))
    running = process(engine, [Reading("home", minute, 1.2)])[0][0].running
    assert running.so_far_kw == pytest.approx(0.8 * 15 / 13)
    assert running.unmeasured_min == 0
    assert running.lower_kw > 0.8


def test_announced_load_counts_in_the_remaining_minutes_alone(arithmetic: str) -> None:
    """A load from the next window on changes nothing in the running one, whose gap is forecast by coming minutes."""
    made = []
    for loads in ([], [(74, 120)], [(73, 120)]):
        engine = engine_of(arithmetic)
        process(engine, stream_of(POWERS_KW))
        planned = [PlannedLoad(3.0, (MONDAY + a) * MINUTE_MS, (MONDAY + b) * MINUTE_MS) for a, b in loads]
        engine.replace_plan("home", LoadPlan.from_loads(planned))
        made.append(process(engine, stream_of([1.2] * 3, MONDAY + AFTER_GAP))[-1][0].running)
    without, one_minute, both_minutes = made
    for name in ("expected_kw", "median_kw", "upper_kw"):
        value = getattr(without, name)
        assert getattr(one_minute, name) - value == pytest.approx(3.0 / 15, abs=1e-6)
        assert getattr(both_minutes, name) - value == pytest.approx(6.0 / 15, abs=1e-6)


@examples(50)
@given(st.integers(1, 14), st.integers(0, 14), st.integers(0, 14), st.floats(0, 5), st.floats(0, 5), st.floats(0.01, 3))
def test_more_unmeasured_minutes_never_narrow_the_interval(
    elapsed: int, one: int, other: int, so_far_kw: float, rest_kw: float, spread_kw: float
) -> None:
    n_known = sorted((max(elapsed - one, 0), max(elapsed - other, 0)))
    made = [window_of(elapsed, n, so_far_kw, rest_kw, spread_kw) for n in n_known]
    widths = [(windows.upper_kw - windows.lower_kw)[0] for windows in made]
    assert widths[0] >= widths[1] - 1e-9


def window_of(elapsed: int, n_known: int, so_far_kw: float, rest_kw: float, spread_kw: float) -> WindowDemands:
    """Return a running window with the same distribution of each of its unknown minutes."""
    state = WindowState(so_far_kw * n_known, n_known, 0, 15, 30, 2.5, 1, 2.5, 1, np.nan, np.nan, 0.05, -np.inf)
    observed = np.array([elapsed - 1])
    windows = columns_of(np.array([state], dtype=np.float64), observed)
    assert [minutes.tolist() for minutes in minutes_ahead(windows, observed)] == [
        [[0], [15 - elapsed]], [[15 - n_known], [30 - elapsed]]
    ]  # fmt: skip
    quantiles_kw = rest_kw + spread_kw * np.linspace(-1, 1, len(LEVELS))
    distributions = PowerDistributions.from_quantiles(np.tile(quantiles_kw, (2, 1)))
    forecast_windows(windows, distributions, np.full((2, 1), rest_kw), 100.0)
    return WindowDemands.from_columns(windows.values[0])
