"""The meter's demand register replaces the running window's mean so far."""

from __future__ import annotations

import pytest

from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.billing.registers import RunningRegister
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from tests.core.demand.runs import LIMITED, MONDAY, demand_engine, process, stream_of


def so_far_kw(engine: Engine) -> float | None:
    demand = engine.demands.newest("home")
    assert demand is not None
    return demand.running.so_far_kw


def test_register_replaces_the_mean_so_far() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 20))
    register = RunningRegister(0.8, (MONDAY + 21) * MINUTE_MS)  # six minutes after 00:15
    engine.demands.record_running_register("home", register)
    process(engine, [Reading("home", MONDAY + 20, 1.0)])
    assert so_far_kw(engine) == pytest.approx(0.8 * 15 / 6)
    process(engine, [Reading("home", MONDAY + 21, 1.0)])
    assert so_far_kw(engine) == 1.0, "it is of an earlier minute"


@pytest.mark.parametrize(
    ("received_min", "observed_minute", "is_usable"),
    [
        (330.75, 329, False),  # less than a minute of its window is in it
        (331, 330, True),
        (331.25, 330, True),
        (334.25, 334, False),  # what was drawn in the rest of the newest minute is missing
        (334.5, 334, True),
        (336, 334, True),
        (336.25, 334, False),  # that minute's reading is not the newest any more
        (344.75, 344, True),
        (345, 344, False),  # it is of the next window
    ],
)
def test_register_is_of_use_in_its_window_around_a_minute_end(
    received_min: float, observed_minute: int, is_usable: bool
) -> None:
    register = RunningRegister(0.5, round(received_min * MINUTE_MS))
    assert (register.so_far_kw(330, 345, observed_minute) is not None) is is_usable


def test_register_is_of_its_device_and_is_forgotten_with_it() -> None:
    engine = demand_engine()
    process(engine, [*stream_of([1.0] * 20), *stream_of([1.0] * 20, device="other")])
    engine.demands.record_running_register("other", RunningRegister(0.8, (MONDAY + 21) * MINUTE_MS))
    process(engine, [Reading("home", MONDAY + 20, 1.0)])
    assert so_far_kw(engine) == 1.0
    engine.forget("other")
    process(engine, stream_of([1.0] * 21, device="other"))
    other = engine.demands.newest("other")
    assert other is not None
    assert other.running.so_far_kw == 1.0


def test_register_of_a_device_without_a_demand_is_ignored() -> None:
    register = RunningRegister(0.8, MONDAY * MINUTE_MS)
    for engine in (demand_engine(SiteDemandOptions()), demand_engine()):
        engine.demands.record_running_register("nobody", register)
        assert engine.demands.month_peaks("nobody", 1) == []
    engine = demand_engine(SiteDemandOptions(devices={"other": LIMITED.default}))
    process(engine, stream_of([1.0] * 20))
    engine.demands.record_running_register("home", register)
    assert engine.demands.month_peaks("home", 1) == []


def test_month_peak_equals_the_highest_window() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 15 + [2.0] * 15 + [1.5] * 15))
    assert engine.demands.month_peaks("home", 1) == [DayPeak(2.0, MONDAY + 15)]
