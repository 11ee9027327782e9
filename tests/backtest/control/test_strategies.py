"""Rules and hindsight on a house with one peak."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.backtest.control.billing import billed_windows, month_peaks
from gapcast.backtest.control.controlled_house import HISTORY_DAYS, NONE, ControlledHouse
from gapcast.backtest.control.house_run import HouseRun, Observed, reactive, run_rule, unlimited
from gapcast.backtest.control.oracle import run_oracle
from gapcast.core.billing.options import ActiveTimes, DemandOptions
from gapcast.recordings.recording import Minute

FIRST = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 60  # a Monday
OPTIONS = DemandOptions(by_month_peak=True)
DAY = 1_440


def house(n_days: int = 3, *, without: range = range(0), peak_kw: float = 4.0) -> ControlledHouse:
    """A house of 0.5 kW, and ``peak_kw`` from 19:00 to 19:30, with loads from the first day on."""
    readings = []
    for i in range(n_days * DAY):
        of_day = i % DAY
        kw = peak_kw if 1_140 <= of_day < 1_170 else 0.5
        if i not in without:
            readings.append(Minute(FIRST + i, kw, i == 5))
    return ControlledHouse.from_readings("a", readings, UTC, FIRST)


def peak_of(one: ControlledHouse, kw: np.ndarray) -> float:
    return max(month_peaks(billed_windows(kw, one.local, OPTIONS), 1).values())


def test_house_has_loads_from_six_to_seven() -> None:
    one = house()
    assert one.n_evenings == 2  # the third night is cut off
    assert (one.first_with_loads, one.evenings[1_079], one.evenings[1_080]) == (1_080, NONE, FIRST // DAY)
    assert (one.evenings[DAY + 419], one.evenings[DAY + 420]) == (FIRST // DAY, NONE)
    assert one.filled[5]


def test_evening_with_missing_minutes_has_no_loads() -> None:
    assert house(without=range(1_080, 1_170)).n_evenings == 1


@pytest.mark.parametrize(("month", "day", "night_min"), [(3, 28, 12 * 60), (10, 24, 14 * 60)], ids=["forward", "back"])
def test_night_of_a_clock_change_needs_nine_in_ten_of_its_minutes(month: int, day: int, night_min: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = int(datetime(2026, month, day, 12, tzinfo=zone).timestamp()) // 60  # the day before the change
    for n_missing, n_evenings in ((night_min // 10, 1), (night_min // 10 + 1, 0)):
        missing = range(7 * 60, 7 * 60 + n_missing)  # from 19:00 on
        readings = [Minute(first + i, 0.5) for i in range(DAY) if i not in missing]
        assert ControlledHouse.from_readings("a", readings, zone, first).n_evenings == n_evenings


def test_loads_begin_after_a_week_by_default() -> None:
    readings = [Minute(FIRST + i, 1.0) for i in range(9 * DAY)]
    assert ControlledHouse.from_readings("a", readings, UTC).first_with_loads == HISTORY_DAYS * DAY + 1_080


def test_house_without_evening_has_none() -> None:
    one = ControlledHouse.from_readings("a", [Minute(FIRST, 1.0), Minute(FIRST + 9, 1.0)], UTC)
    assert (one.n_evenings, one.first_with_loads) == (0, 10)


@pytest.mark.parametrize(("allowed_kw", "car_kw"), [(5.0, 2.99), (1.9, 1.84), (2.0, 0.0)])
def test_waiting_dishwasher_comes_before_the_car(allowed_kw: float, car_kw: float) -> None:
    run = HouseRun(house(), OPTIONS)
    run.loads.is_waiting = True
    run.allow(allowed_kw)
    assert run.loads.setpoint_kw == car_kw


def test_without_control_all_runs_from_six_on() -> None:
    one = house()
    run = run_rule(one, OPTIONS, unlimited)
    assert run.total_kw[1_080] == pytest.approx(0.5 + 7.36 + 2.0)
    result = run.loads.finish()
    assert (result.n_evenings, result.delay_min, result.n_starts) == (2, 0, 2)
    assert result.missing_kwh == pytest.approx(0.0, abs=1e-9)


def test_last_reading_leaves_the_rest_to_the_loads() -> None:
    assert reactive(Observed(3.0, 1.5, 2.5)) == 1.0
    assert reactive(Observed(3.0, 1.5, None)) == math.inf


def test_last_reading_notices_a_peak_one_minute_late() -> None:
    one = house()
    run = run_rule(one, OPTIONS, reactive)
    assert run.total_kw[1_085] == pytest.approx(2.5)  # the dishwasher; the car needs 1.38 kW
    assert run.total_kw[1_140] > 4.0
    assert 4.0 < peak_of(one, run.total_kw) < 5.0


def test_dishwasher_starts_late_if_asked_to() -> None:
    result = run_rule(house(), OPTIONS, reactive, is_late=True).loads.finish()
    assert result.delay_min == 2 * 195


def test_unknown_minutes_stay_unknown() -> None:
    one = house(without=range(1_100, 1_110))
    run = run_rule(one, OPTIONS, reactive)
    assert np.isnan(run.total_kw[1_100:1_110]).all()
    assert run.loads.finish().n_evenings == 2


def test_hindsight_keeps_the_peak_of_the_house() -> None:
    one = house()
    total_kw, result = run_oracle(one, OPTIONS)
    assert peak_of(one, total_kw) == pytest.approx(4.0)
    assert (result.n_evenings, result.delay_min, result.missing_kwh) == (2, 0, 0.0)
    assert np.nansum(total_kw - one.kw) / 60 == pytest.approx(2 * (8.0 + 1.5))


def test_hindsight_moves_the_dishwasher_out_of_a_peak() -> None:
    readings = [Minute(FIRST + i, 2.0 if 1_080 <= i % DAY < 1_200 else 0.2) for i in range(2 * DAY)]
    one = ControlledHouse.from_readings("a", readings, UTC, FIRST)
    total_kw, result = run_oracle(one, OPTIONS)
    assert peak_of(one, total_kw) == pytest.approx(2.5)
    assert result.delay_min == 120


def test_hindsight_raises_the_peak_as_little_as_possible() -> None:
    readings = [Minute(FIRST + i, 2.2) for i in range(2 * DAY)]
    one = ControlledHouse.from_readings("a", readings, UTC, FIRST)
    total_kw, _ = run_oracle(one, OPTIONS)
    assert peak_of(one, total_kw) == pytest.approx(2.2 + 2.0, abs=1e-4)  # the dishwasher alone


def test_hindsight_draws_outside_the_hours_of_the_limit() -> None:
    readings = [Minute(FIRST + i, 0.2) for i in range(2 * DAY)]
    one = ControlledHouse.from_readings("a", readings, UTC, FIRST)
    hours = ActiveTimes(((17 * 60, 20 * 60),))
    options = DemandOptions(by_month_peak=True, floor_kw=0.0, active=hours)
    total_kw, result = run_oracle(one, options)
    assert max(month_peaks(billed_windows(total_kw, one.local, options), 1).values()) == pytest.approx(0.2, abs=1e-4)
    assert (result.n_evenings, result.delay_min) == (1, 120)
    assert np.sum(total_kw - one.kw) / 60 == pytest.approx(8.0 + 1.5)
