"""Plans and readings: which part of the readings is attributed to announced loads, and how these count."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.plans.load_attribution import SeenLoads
from gapcast.core.plans.plan import ON_ALREADY_MS, LoadPlan, PlannedLoad
from gapcast.core.plans.plan_tracker import PlanTracker
from gapcast.core.readings.reading import Reading
from gapcast.core.series import forecast_series, forecast_series_with_outlook
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.window import MAX_FILL_MIN
from tests.support.planned_houses import (
    CHARGER_KW,
    END,
    HORIZON_MIN,
    MODEL,
    NOON,
    START,
    charger,
    flat,
    run,
)


@pytest.mark.parametrize("delay", [1, 2, 4])
def test_late_load_is_not_taken_for_an_uncontrolled_one(delay: int) -> None:
    made = run(flat(START + delay, END + min(delay, 2)), {10: charger()})
    assert made.uncontrolled_kw() == {0.5}
    assert made.gap_kw(END - 1, END) == [7.9, 0.5]


def test_load_that_starts_early_is_not_taken_for_an_uncontrolled_one() -> None:
    assert run(flat(START - 2, END), {10: charger()}).uncontrolled_kw() == {0.5}


def test_load_that_never_starts_counts_for_a_few_minutes() -> None:
    made = run(flat(), {10: charger()})
    assert made.gap_kw(START, START + 10, START + 11, END - 1) == [7.9, 7.9, 0.5, 0.5]
    assert made.planned_kw(START + 11) == [0.0]
    assert made.uncontrolled_kw() == {0.5}


@pytest.mark.parametrize(("starts_now", "last_min"), [(False, 7), (True, 5)])
def test_load_that_never_starts_counts_until_minutes_without_it(starts_now: bool, last_min: int) -> None:
    """The first two minutes after an announced start do not count, because the load may start late."""
    end_ms = (NOON + END) * MINUTE_MS
    start_ms = ON_ALREADY_MS if starts_now else (NOON + START) * MINUTE_MS
    made = run(flat(), {START: LoadPlan((PlannedLoad(CHARGER_KW, start_ms, end_ms),))})
    counted = [minute for minute, one in made.forecasts.items() if one.planned_kw]
    assert max(counted) - HORIZON_MIN == START + last_min - 2, "the newest reading of the last forecast with the load"


def test_share_below_one_percent_is_no_load() -> None:
    house = [kw + (0.05 if START <= minute < END else 0.0) for minute, kw in enumerate(flat())]
    assert run(house, {10: charger()}).planned_kw(START + 20) == [0.0]


def test_load_that_starts_very_late_counts_from_then_on() -> None:
    made = run(flat(START + 20, END), {10: charger()})
    assert made.gap_kw(START + 20 + HORIZON_MIN, END - 1, END) == [7.9, 7.9, 0.5]


def test_load_that_draws_a_little_less_is_subtracted_as_it_is() -> None:
    made = run(flat(START, END, kw=7.2), {10: charger()})
    assert made.uncontrolled_kw() == {0.5}
    assert made.gap_kw(END - 1, END) == [7.7, 0.5]


def test_load_at_half_its_power_counts_with_what_it_shows() -> None:
    made = run(flat(START, END, kw=3.7), {10: charger()})
    assert made.uncontrolled_kw() == {0.5}
    assert made.gap_kw(START + 20, END - 1, END) == [4.2, 4.2, 0.5]


def test_load_that_stops_early_is_seen_to_stop() -> None:
    made = run(flat(START, END - 30), {10: charger()})
    assert made.uncontrolled_kw() == {0.5}
    assert made.gap_kw(END - 30 + GRACE, END - 1) == [0.5, 0.5]


#: Minutes until a stopped load no longer counts: five to detect it, five ahead.
GRACE = 10


def test_cancelled_plan_ends_at_once() -> None:
    made = run(flat(START, 50), {10: charger(), 50: LoadPlan()})
    assert made.gap_kw(54, 55, 56) == [7.9, 0.5, 0.5]
    assert made.uncontrolled_kw() == {0.5}


def test_cancelled_load_may_run_on_for_two_minutes() -> None:
    made = run(flat(START, 52), {10: charger(), 50: LoadPlan()})
    assert made.uncontrolled_kw() == {0.5}
    assert made.planned_kw(54, 55, 56) == [7.4, None, None], "no plan is published"


def test_load_that_never_started_counts_again_the_next_time() -> None:
    twice = LoadPlan.from_loads([*charger(start=20, end=30).loads, *charger(start=60, end=90).loads])
    made = run(flat(60, 90), {10: twice})
    assert set(made.gap_kw(*range(60, 90))) == {7.9}


def test_load_that_runs_on_after_its_plan_was_cancelled_is_uncontrolled() -> None:
    made = run(flat(START, END), {10: charger(), 50: LoadPlan()})
    assert made.gap_kw(60, END - 1) == [7.9, 7.9]
    assert made.planned_kw(60) == [None]


def test_replaced_plan_continues_its_load() -> None:
    plans = {10: charger(), 50: charger(end=END + 10), 70: charger(end=END - 10)}
    made = run(flat(START, END - 10), plans)
    assert made.gap_kw(END - 11, END - 10, END) == [7.9, 0.5, 0.5]
    assert made.uncontrolled_kw() == {0.5}


def announced_each_minute(*powers_kw: float) -> dict[int, LoadPlan]:
    """Return a plan before each reading from the charger's start on, with ``powers_kw`` in turn."""
    return {START + i: charger(powers_kw[i % len(powers_kw)]) for i in range(END - START)}


@pytest.mark.parametrize("other_kw", [7.39, 6.2, 8.8])
def test_stopped_load_announced_each_minute_with_another_kw_expires(other_kw: float) -> None:
    made = run(flat(START, END - 30), announced_each_minute(CHARGER_KW, other_kw))
    assert made.gap_kw(END - 30 + GRACE, END - 1) == [0.5, 0.5]
    assert made.planned_kw(END - 30 + GRACE) == [0.0]


def test_load_announced_each_minute_with_another_kw_is_subtracted() -> None:
    made = run(flat(START, END), announced_each_minute(CHARGER_KW, 7.3))
    assert made.uncontrolled_kw() <= {0.5, 0.6}


@pytest.mark.parametrize(("announced_kw", "measured_kw"), [(7.4, 6.0), (6.0, 6.0), (6.0, 7.0)])
def test_load_announced_with_its_measured_power_counts_with_it(announced_kw: float, measured_kw: float) -> None:
    """What was seen of the load is a share of its former power."""
    plans = {10: charger(announced_kw)}
    plans |= {minute: charger(measured_kw, start=minute - 1) for minute in range(START + 15, END)}
    made = run(flat(START, END, kw=6.0), plans)
    targets = range(START + 15, END)
    assert set(made.gap_kw(*targets)) == {6.5}


@pytest.mark.parametrize("later_kw", [7.4, 7.0])
def test_stopped_load_with_a_later_one_of_its_name_is_subtracted(later_kw: float) -> None:
    """The load may draw for a minute longer than its plan."""
    tracker, window_kw = PlanTracker(), np.array([0.5] * 20 + [7.9] * 10, dtype=np.float32)
    on = PlannedLoad(7.4, ON_ALREADY_MS, (NOON + 60) * MINUTE_MS, "car")
    later = PlannedLoad(later_kw, (NOON + 90) * MINUTE_MS, (NOON + 120) * MINUTE_MS, "car")
    tracker.replace_plan(LoadPlan((on,)), NOON, window_kw)
    tracker.replace_plan(LoadPlan((later,)), NOON, window_kw)
    assert tracker.observe(NOON + 1, np.append(window_kw[1:], np.float32(7.9))) == pytest.approx(7.4)


def test_replaced_loads_of_one_name_each_stay_what_they_were() -> None:
    seen = SeenLoads()
    seen.add([PlannedLoad(kw, ON_ALREADY_MS, NOON * MINUTE_MS, "car") for kw in (7.4, 7.0)], 0.5)
    seen.rename([PlannedLoad(kw, ON_ALREADY_MS, NOON * MINUTE_MS, "car") for kw in (7.3, 7.1)])
    assert sorted(one.kw for one in seen) == [7.1, 7.3]


def test_load_announced_with_much_more_power_counts_again() -> None:
    made = run(flat(START + 40, END), {10: charger(1.4), START + 39: charger()})
    assert made.gap_kw(START + 38 + HORIZON_MIN, START + 39 + HORIZON_MIN) == [0.5, 7.9]


def test_load_that_is_on_is_announced_by_its_end() -> None:
    until = LoadPlan((PlannedLoad(CHARGER_KW, ON_ALREADY_MS, (NOON + END) * MINUTE_MS),))
    made = run(flat(START, END), {END - 3: until})
    assert made.gap_kw(END + 1, END + 2, END + 3) == [7.9, 0.5, 0.5], "the first was made before the plan was known"
    one = made.forecasts[END + 2]
    assert one.uncontrolled_kw == pytest.approx(0.5)
    assert one.planned_kw == 0.0
    announced_each_minute = run(flat(START, END), dict.fromkeys(range(END - 3, END), until))
    assert announced_each_minute.forecasts == made.forecasts


def test_load_on_in_the_whole_window_is_subtracted_from_it() -> None:
    until = LoadPlan((PlannedLoad(CHARGER_KW, ON_ALREADY_MS, (NOON + END) * MINUTE_MS),))
    made = run(flat(0, END), {END - 3: until})
    assert made.forecasts[END + 2].gap_kw == pytest.approx(0.5, abs=0.5)


def test_load_on_in_the_whole_window_is_subtracted_below_others() -> None:
    until = LoadPlan((PlannedLoad(CHARGER_KW, ON_ALREADY_MS, (NOON + END) * MINUTE_MS),))
    house = [kw + 0.25 * (minute % 3) for minute, kw in enumerate(flat(0, END))]  # 0.5 kW more in the last minute
    made = run(house[: END - 4], {END - 5: until})
    assert made.forecasts[END].uncontrolled_kw == pytest.approx(house[END - 5] - CHARGER_KW)


def test_load_announced_after_its_start_is_subtracted_from_then_on() -> None:
    house = flat(START, END)
    for minute in range(START - 5, START):
        house[minute] += 5.0  # another load, which ended when it began
    made = run(house[: START + 11], {START + 10: charger()})
    found = made.engine.plans.trackers["home"].attributed_kw
    assert found == pytest.approx({NOON + minute: CHARGER_KW for minute in range(START, START + 11)})


@pytest.mark.parametrize("n_read", [1, 3])
def test_load_on_since_before_the_oldest_reading_is_not_in_the_padding(n_read: int) -> None:
    tracker, window = PlanTracker(), np.full(180, 0.5 + CHARGER_KW, dtype=np.float32)
    window[-n_read:] += 0.25
    tracker.replace_plan(charger(), None, None)
    minute = NOON + START + 20
    tracker.observe(minute, window)
    tracker.subtract(minute, window)
    assert window.tolist() == pytest.approx([0.5] * (180 - n_read) + [0.75] * n_read, abs=1e-5)


@pytest.mark.parametrize("announced", [50, END + 5])
def test_load_announced_late_leaves_the_past_of_another(announced: int) -> None:
    first, until = announced - 8, announced + 30
    house = [kw + (2.0 if first <= minute < until else 0.0) for minute, kw in enumerate(flat(START, END))]
    washer = PlannedLoad(2.0, (NOON + first) * MINUTE_MS, (NOON + until) * MINUTE_MS, "washer")
    both = LoadPlan.from_loads([*charger().loads, washer])
    engine = run(house[:announced], {10: charger()}).engine
    engine.replace_plan("home", both)
    found = engine.plans.trackers["home"].attributed_kw
    both_on = range(first, min(announced, END))
    assert [found[NOON + minute] for minute in both_on] == pytest.approx([CHARGER_KW] * len(both_on))


def test_load_that_is_not_on_as_announced_is_not_subtracted() -> None:
    until = LoadPlan((PlannedLoad(CHARGER_KW, ON_ALREADY_MS, (NOON + END) * MINUTE_MS),))
    assert run(flat(), {40: until}).uncontrolled_kw() == {0.5}


def test_generation_on_in_the_whole_window_is_added_to_it() -> None:
    until = LoadPlan((PlannedLoad(-3.0, ON_ALREADY_MS, (NOON + END) * MINUTE_MS),))
    made = run(flat(0, END, kw=-3.0), {END - 3: until})
    assert made.forecasts[END + 2].gap_kw == pytest.approx(0.5, abs=0.51)


def test_planned_generation_is_added_to_the_readings() -> None:
    made = run(flat(START, END, kw=-3.0), {10: charger(-3.0)})
    assert made.gap_kw(START - 1, START, END - 1, END) == [0.5, -2.5, -2.5, 0.5]
    assert made.uncontrolled_kw() == {0.5}


def test_loads_that_overlap_are_distinguished() -> None:
    both = [*charger().loads, PlannedLoad(2.0, (NOON + 45) * MINUTE_MS, (NOON + 80) * MINUTE_MS, "washer")]
    battery = PlannedLoad(-7.0, (NOON + 55) * MINUTE_MS, (NOON + 70) * MINUTE_MS, "battery")
    house = flat()
    for minute in range(45, 80):
        house[minute] += 2.0
    only_the_washer = run(house, {10: LoadPlan.from_loads(both)})
    assert only_the_washer.gap_kw(70) == [2.5]
    assert only_the_washer.uncontrolled_kw() == {0.5}
    for minute in range(START, END):
        house[minute] += CHARGER_KW - (7.0 if 55 <= minute < 70 else 0.0)
    made = run(house, {10: LoadPlan.from_loads([*both, battery])})
    assert made.gap_kw(44, 45, 55, 69, 70, 80, END) == [7.9, 9.9, 2.9, 2.9, 9.9, 7.9, 0.5]
    assert made.uncontrolled_kw() == {0.5}


def test_uncontrolled_load_beside_a_planned_one_is_forecast() -> None:
    house = flat(START, END)
    for minute in range(50, 60):
        house[minute] += 2.0
    made = run(house, {10: charger()})
    assert made.gap_kw(50 + HORIZON_MIN, 60 + HORIZON_MIN) == [9.9, 7.9]
    assert made.forecasts[55].uncontrolled_kw == pytest.approx(2.5)


def test_plan_moved_by_a_minute_has_one_load() -> None:
    made = run(flat(START, END), {10: charger(), 50: charger(start=51)})
    assert made.uncontrolled_kw() == {0.5}
    assert made.gap_kw(55, END - 1, END) == [7.9, 7.9, 0.5]


def test_forecast_of_a_series_contains_its_plan() -> None:
    readings = [Reading("", NOON + minute, kw) for minute, kw in enumerate(flat(START, END)[:93])]
    after, _ = forecast_series_with_outlook(MODEL, None, readings, 0, plan=charger())
    assert after.gap_kw == pytest.approx(0.5)
    assert forecast_series(MODEL, readings, 0).gap_kw == pytest.approx(7.9)
    before, _ = forecast_series_with_outlook(MODEL, None, readings[:32], 0, plan=charger())
    assert before.gap_kw == pytest.approx(7.9)
    assert before.planned_kw == 7.4


# --- one tracker ---------------------------------------------------------------------------------------


def window(*newest_kw: float) -> F32:
    """Return a window of 0.5 kW that ends with ``newest_kw``."""
    return np.array([0.5] * (10 - len(newest_kw)) + [*newest_kw], dtype=np.float32)


def load(name: str, kw: float, start: int, end: int) -> PlannedLoad:
    return PlannedLoad(kw, (NOON + start) * MINUTE_MS, (NOON + end) * MINUTE_MS, name)


def test_tracker_of_a_new_plan_continues_the_history_of_its_device() -> None:
    """The power subtracted from the past when the plan arrived stays subtracted once the load is off."""
    tracker = PlanTracker()
    assert tracker.replace_plan(LoadPlan.from_loads([load("car", 7.0, -2, 30)]), NOON, window(7.5, 7.5, 7.5))
    assert tracker.observe(NOON + 1, window(7.5, 7.5, 7.5, 0.5)) == 0.0
    assert tracker.attributed_kw == {NOON - 2: 7.0, NOON - 1: 7.0, NOON: 7.0}


@pytest.mark.parametrize(("house_kw", "is_on"), [(0.9, False), (1.3, False), (1.7, False), (1.9, True), (2.4, True)])
def test_tracker_base_load_below_the_announced_power_is_uncontrolled(house_kw: float, is_on: bool) -> None:
    """A load without a start may be on in the whole window, but only if the house draws about its power."""
    tracker, until = PlanTracker(), PlannedLoad(2.0, ON_ALREADY_MS, (NOON + 30) * MINUTE_MS)
    assert tracker.replace_plan(LoadPlan((until,)), NOON, np.full(10, house_kw, np.float32)) == is_on
    starts_now = np.append(np.full(9, house_kw, np.float32), np.float32(house_kw + 2.0))
    assert tracker.observe(NOON + 1, starts_now) == 2.0
    assert (NOON in tracker.attributed_kw) == is_on


def test_tracker_load_announced_beside_another_one_is_not_seen_yet() -> None:
    tracker = PlanTracker()
    car, oven = load("car", 7.0, -2, 30), load("oven", 2.0, -2, 30)
    tracker.replace_plan(LoadPlan.from_loads([car]), NOON, window(7.5, 7.5, 7.5))
    assert not tracker.replace_plan(LoadPlan.from_loads([car, oven]), NOON, window(7.5, 7.5, 7.5))
    assert [seen.name for seen in tracker.state("home").seen] == ["car"]


@pytest.mark.parametrize(("gap_min", "is_interpolated"), [(MAX_FILL_MIN + 1, True), (MAX_FILL_MIN + 2, False)])
def test_tracker_interpolates_over_gaps_that_windows_are_filled_over(gap_min: int, is_interpolated: bool) -> None:
    tracker = PlanTracker()
    tracker.replace_plan(LoadPlan.from_loads([load("car", 7.0, 0, 60)]), NOON, window(7.5))
    tracker.observe(NOON + gap_min, window(7.5))
    assert (NOON + 1 in tracker.attributed_kw) == is_interpolated


def test_tracker_remembers_a_bounded_number_of_stopped_loads() -> None:
    """Announcing and cancelling loads repeatedly cannot make the state grow."""
    tracker = PlanTracker()
    tracker.replace_plan(
        LoadPlan.from_loads([load(f"load {n}", 0.25, -1, 30) for n in range(20)]), NOON, window(5.5, 5.5)
    )
    tracker.replace_plan(LoadPlan(), NOON, window(5.5, 5.5))
    assert len(tracker.state("home").stopped) == 16
