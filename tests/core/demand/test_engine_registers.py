"""The meter's demand register replaces the running window's mean so far."""

from __future__ import annotations

import itertools
import math

import pytest

from gapcast.core.billing.device_windows import WindowState
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.billing.register_check import LowRegister, RegisterCheck
from gapcast.core.billing.registers import Register, RunningRegister
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


def window_after(n: int, kw: float, start: int = 330, least_kw: float = -math.inf) -> WindowState:
    """Return the window of 15 minutes from minute ``start`` after ``n`` known minutes of ``kw``."""
    end = start + 15
    return WindowState(kw * n, n, start, end, end + 15, 2.5, 0.0, 2.5, 0.0, math.nan, math.nan, 0.05, least_kw)


@pytest.mark.parametrize(
    ("state", "register_kw", "is_accepted"),
    [
        (window_after(6, 2.0), 0.002, False),
        (window_after(6, 2.0), 0.0, False),
        (window_after(6, 2.0), 0.99, False),
        (window_after(6, 2.0), 1.0, True),
        (window_after(6, 2.0), 9.0, True),
        (window_after(5, 2.4), 0.002, True),  # a minute is unknown
        (window_after(6, 2.0, least_kw=0.0), 0.002, True),  # a register of net energy is lower
        (window_after(6, 0.1), 0.0, True),  # 0.04 kW by the register: it may be rounded
        (window_after(6, -2.0), 0.0, True),
    ],
)
def test_running_register_far_below_the_measured_mean_is_refused(
    state: WindowState, register_kw: float, is_accepted: bool
) -> None:
    assert RegisterCheck().accepts_running(0, 335, state, register_kw) is is_accepted


@pytest.mark.parametrize(
    ("measured_kw", "confirmed_kw", "peak_kw", "is_accepted"),
    [
        (2.4, None, 0.0024, False),
        (2.4, 2.0, 0.0024, False),
        (2.4, None, 0.24, True),
        (2.4, 2.0, 0.24, True),
        (2.4, None, 9.0, True),
        (0.04, None, 0.0, True),
        (240.0, None, 2.4, False),
        (240.0, 2.0, 2.4, True),
        (240.0, 2.0, 1.0, True),
        (240.0, 2.0, 0.99, False),
        (240.0, 2.0, 0.0024, False),
        (240.0, 0.04, 0.0024, False),  # the house hardly imports any power
    ],
)
def test_month_peak_register_far_below_the_measured_peak_is_refused(
    measured_kw: float, confirmed_kw: float | None, peak_kw: float, is_accepted: bool
) -> None:
    assert RegisterCheck().accepts_peak(0, 330, measured_kw, confirmed_kw, peak_kw) is is_accepted


def test_low_register_is_reported_once_after_three_windows_in_a_row() -> None:
    check, starts = RegisterCheck(), itertools.count(330, 15)

    def read(*so_far_kw: float, n: int = 8) -> list[LowRegister]:
        """Return the reports after windows with these values of the register, each read twice."""
        for kw, start in zip(so_far_kw, starts, strict=False):
            for _ in range(2):
                check.accepts_running(0, start + n - 1, window_after(n, 2.0, start), kw)
        return check.take_reports()

    assert read(0.002, 0.002, 1.9, 0.002, 0.002) == []
    assert read(0.002, n=7) == [], "in the first half of a window the clock of the meter counts"
    assert read(0.002) == [LowRegister(0, Register.RUNNING, 0.002, 2.0)]
    assert read(0.002, 0.002, 0.002, 1.9, 0.002, 0.002, 0.002) == []


def test_low_register_of_a_forgotten_device_is_not_reported() -> None:
    check = RegisterCheck()

    def read(*rows: int) -> None:
        for row in rows:
            for start in (330, 345, 360):
                check.accepts_peak(row, start, 2.0, 1.5, 0.002)

    read(0, 1)
    check.forget(0)
    assert [one.row for one in check.take_reports()] == [1]
    read(0, 1)
    assert [one.row for one in check.take_reports()] == [0], "a new device in the row"


def test_low_month_peak_is_not_reported_before_it_can_be_judged() -> None:
    """The gateway has just started, and its own peak may be that of a faulty reading."""
    check, starts = RegisterCheck(), range(330, 390, 15)
    for start in starts:
        check.accepts_peak(0, start, 240.0, None, 2.4)
    assert check.take_reports() == []
    check.accepts_peak(0, 390, 240.0, 6.0, 2.4)
    assert check.take_reports() == [LowRegister(0, Register.MONTH_PEAK, 2.4, 240.0)]


def test_low_registers_are_reported_by_device() -> None:
    engine = demand_engine()
    assert engine.demands.take_low_registers() == []
    assert engine.demands.accepts_peak_register("home", 0.001), "it has no readings"
    process(engine, stream_of([1.0] * 14))
    assert engine.demands.accepts_peak_register("home", 0.001), "no window is over"
    for minute in range(14, 60):
        process(engine, [Reading("home", MONDAY + minute, 1.0)])
        engine.demands.accepts_peak_register("home", 0.001)
    reports = [("home", LowRegister(0, Register.MONTH_PEAK, 0.001, 1.0))]
    swapped = demand_engine()
    swapped.demands.adopt(engine.demands, engine.buffers)
    assert swapped.demands.take_low_registers() == reports
    assert demand_engine(SiteDemandOptions()).demands.take_low_registers() == []
    assert demand_engine(SiteDemandOptions()).demands.accepts_peak_register("home", 0.001)


def test_month_peak_equals_the_highest_window() -> None:
    engine = demand_engine()
    process(engine, stream_of([1.0] * 15 + [2.0] * 15 + [1.5] * 15))
    assert engine.demands.month_peaks("home", 1) == [DayPeak(2.0, MONDAY + 15)]
