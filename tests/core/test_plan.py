"""A plan: its planned power minute by minute, and the accepted formats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import PayloadError
from gapcast.core.plans.plan import MAX_LOADS, ON_ALREADY_MS, LoadPlan, PlannedLoad, plan_of
from gapcast.core.readings.reading import Limits
from gapcast.core.time_grid import MINUTE_MS

NOON = 21_476_160
NOON_MS = NOON * MINUTE_MS
FIRST, LAST = NOON, NOON + 30
instants_ms = st.integers(FIRST * MINUTE_MS, LAST * MINUTE_MS)
loads = st.builds(
    lambda kw, first, second, name: PlannedLoad(kw, min(first, second), max(first, second) + 1, name),
    st.floats(-100, 100),
    instants_ms,
    instants_ms,
    st.sampled_from(["", "car", "dishwasher"]),
)


def parsed(*documents: Any, now_ms: int | None = NOON_MS) -> tuple[PlannedLoad, ...]:
    return plan_of(list(documents), Limits(), now_ms).loads


def energy_kw_ms(planned: list[PlannedLoad]) -> float:
    return sum(load.kw * (load.end_ms - load.start_ms) for load in planned)


@given(st.lists(loads, max_size=8))
def test_planned_power_has_the_energy_of_its_loads(planned: list[PlannedLoad]) -> None:
    plan = LoadPlan.from_loads(planned)
    of_minutes = sum(plan.planned_kw(minute) for minute in range(FIRST, LAST + 1)) * MINUTE_MS
    assert of_minutes == pytest.approx(energy_kw_ms(planned), abs=1e-3)
    assert plan.planned_kw(FIRST - 1) == plan.planned_kw(LAST + 1) == 0.0


@given(st.lists(loads, max_size=8))
def test_planned_power_of_a_minute_is_the_sum_over_its_loads(planned: list[PlannedLoad]) -> None:
    for minute in range(FIRST, LAST + 1):
        each = [LoadPlan((load,)).planned_kw(minute) for load in planned]
        assert LoadPlan.from_loads(planned).planned_kw(minute) == pytest.approx(sum(each), abs=1e-9)


def test_planned_power_of_a_partial_minute_is_its_mean() -> None:
    plan = LoadPlan((PlannedLoad(8.0, NOON_MS + 45_000, NOON_MS + 90_000),))
    assert [plan.planned_kw(NOON + i) for i in range(3)] == [2.0, 4.0, 0.0]


@given(st.lists(loads, max_size=8))
def test_plan_document_is_read_as_the_same_plan(planned: list[PlannedLoad]) -> None:
    plan = LoadPlan.from_loads(planned)
    assert plan_of(plan.document(), Limits(), None) == plan


def test_plan_joins_loads_that_follow_each_other() -> None:
    quarters = [
        {"kw": 2, "from": (NOON + at) * 60, "minutes": 15, "name": name}
        for at, name in ((15, "car"), (0, "car"), (30, "heater"))
    ]
    assert parsed(*quarters) == (
        PlannedLoad(2.0, NOON_MS, NOON_MS + 30 * MINUTE_MS, "car"),
        PlannedLoad(2.0, NOON_MS + 30 * MINUTE_MS, NOON_MS + 45 * MINUTE_MS, "heater"),
    )


def test_plan_without_a_start_is_of_loads_that_are_on() -> None:
    until, minutes = parsed({"kw": 7.4, "until": "2010-11-01T00:03:00Z"}, {"kw": -1, "minutes": 3, "name": "battery"})
    assert until == PlannedLoad(7.4, ON_ALREADY_MS, NOON_MS + 3 * MINUTE_MS)
    assert minutes == PlannedLoad(-1.0, ON_ALREADY_MS, NOON_MS + 3 * MINUTE_MS, "battery")
    assert LoadPlan((until,)).document() == [{"kw": 7.4, "until": "2010-11-01T00:03:00Z"}]


@pytest.mark.parametrize(
    ("document", "reason", "words"),
    [
        ({}, "bad_plan", "a plan is a list of loads, not {}: send [{"),
        ([{"kw": 1, "minutes": 1}] * (MAX_LOADS + 1), "bad_plan", "193 loads; the maximum is 192"),
        ([7.4], "bad_plan", "plan[0] must be an object, not 7.4"),
        ([{"kw": 1, "minutes": 1, "": 2}], "bad_plan", "plan[0] has the unknown key '': use kw, from"),
        ([{"kw": 1, "minutes": 1, "power": 2}], "bad_plan", "plan[0] has the unknown key 'power': use kw, from"),
        ([{"minutes": 1}], "bad_plan", 'plan[0] has no "kw"'),
        ([{"kw": "7", "minutes": 1}], "not_a_number", "plan[0].kw: power must be a number in kW, not '7'"),
        ([{"kw": 7400, "minutes": 1}], "out_of_range", "if these are watts, send kW (7.4)"),
        ([{"kw": 1}], "bad_plan", 'plan[0] must end: give either "until" or "minutes"'),
        ([{"kw": 1, "minutes": 1, "until": 1}], "bad_plan", 'plan[0] has both "until" and "minutes": give one of them'),
        ([{"kw": 1, "minutes": "1"}], "bad_plan", "plan[0].minutes must be a number, not '1'"),
        ([{"kw": 1, "minutes": 0}], "bad_plan", "above 0 and at most 10080, not 0"),
        ([{"kw": 1, "minutes": 10**400}], "bad_plan", "not a number of many digits"),
        ([{"kw": 1, "until": "14:05"}], "bad_time", "plan[0].until: '14:05' is not RFC 3339: give the offset or Z"),
        ([{"kw": 1, "from": 1, "minutes": 1}], "bad_time", "plan[0].from: 1 is before 2000"),
        (
            [{"kw": 1, "minutes": 1}, {"kw": 1, "from": "2010-11-01T00:05:00Z", "until": "2010-11-01T00:05:00Z"}],
            "bad_time",
            "plan[1] ends at 2010-11-01T00:05:00Z and begins at 2010-11-01T00:05:00Z: let it end later",
        ),
        ([{"kw": 1, "from": NOON * 60, "until": (NOON + 10_081) * 60}], "bad_time", "within 10080 minutes"),
        ([{"kw": 1, "minutes": 1, "name": "a\nb"}], "bad_plan", "plan[0].name must be at most 64 printable characters"),
        ([{"kw": 1, "minutes": 1, "name": "x" * 65}], "bad_plan", "plan[0].name must be at most 64"),
    ],
)
def test_bad_plan_is_rejected_with_the_load_and_the_fix(document: Any, reason: str, words: str) -> None:
    with pytest.raises(PayloadError) as error:
        plan_of(document, Limits(), NOON_MS)
    assert (error.value.reason, words in error.value.detail) == (reason, True), error.value.detail


def test_plan_of_unknown_age_needs_absolute_times() -> None:
    with pytest.raises(PayloadError, match=r'unknown_age: plan\[0\]: "minutes" without "from" .* use "until"'):
        parsed({"kw": 7.4, "minutes": 3}, now_ms=None)
    assert parsed({"kw": 7.4, "from": NOON * 60, "minutes": 3}, now_ms=None)
