"""The columns that a model may have, and the local time of each minute of its window."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.time_grid import DAY_MIN, MINUTE_MS, WEEK_MIN
from gapcast.core.windows.features import (
    DERIVED,
    MEASURED,
    UNITS,
    assemble,
    measured_in,
    minute_of_day,
    minute_of_day_at,
    offset_min,
    problem_with,
)

ALL = (*MEASURED, *DERIVED)
#: A clock with daylight saving, one with half an hour of it, one that is 5:45 ahead, one behind.
ZONES = [UTC, *map(ZoneInfo, ("Europe/Paris", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"))]
MINUTES = st.integers(946_684_800_000 // MINUTE_MS, 4_102_444_800_000 // MINUTE_MS - 1)
#: The minute in which Paris set its clock forward in 2010.
SPRING = 1_269_738_000_000 // MINUTE_MS


def from_the_calendar(minute: int, zone: tzinfo) -> list[float]:
    local = datetime.fromtimestamp(minute * 60, zone)
    of_day = local.hour * 60 + local.minute
    day, week = (2 * math.pi * at / period for at, period in
                 ((of_day, DAY_MIN), (local.weekday() * DAY_MIN + of_day, WEEK_MIN)))  # fmt: skip
    return [math.sin(day), math.cos(day), math.sin(week), math.cos(week)]


@given(st.lists(MINUTES, min_size=1, max_size=4), st.integers(2, 200), st.sampled_from(ZONES))
def test_features_have_the_local_time_of_each_minute(newest: list[int], context: int, zone: tzinfo) -> None:
    power = np.ones((len(newest), context, 1), dtype=np.float32)
    inputs = assemble(power, np.array(newest), ("gap_kw", *DERIVED), zone)
    assert inputs.shape == (len(newest), context, 5)
    assert inputs.dtype == np.float32
    for window, last in zip(inputs, newest, strict=True):
        expected = [from_the_calendar(last - context + 1 + i, zone) for i in range(context)]
        np.testing.assert_allclose(window[:, 1:], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("2010-03-28T01:00:00+00:00", "Europe/Paris"),
        ("2010-10-31T01:00:00+00:00", "Europe/Paris"),
        ("2010-04-03T15:00:00+00:00", "Australia/Lord_Howe"),
        ("2010-03-14T03:31:00+00:00", "America/St_Johns"),  # one minute after midnight
        ("2010-11-07T02:31:00+00:00", "America/St_Johns"),
    ],
)
def test_features_across_a_clock_change_have_both_offsets(change: str, name: str) -> None:
    zone, last = ZoneInfo(name), int(datetime.fromisoformat(change).timestamp()) // 60 + 20
    window = assemble(np.zeros((2, 60, 1), dtype=np.float32), np.array([last, last - 30]), ("gap_kw", *DERIVED), zone)
    expected = [[from_the_calendar(newest - 59 + i, zone) for i in range(60)] for newest in (last, last - 30)]
    np.testing.assert_allclose(window[:, :, 1:], expected, rtol=0, atol=1e-6)
    jump = np.abs(np.diff(window[:, :, 1:3], axis=1)).max(axis=2)
    assert np.argmax(jump[0]) == 60 - 1 - 20 - 1, "the clock jumps at that very minute of the first window"
    assert jump[0].max() > 0.1
    assert jump[1].max() < 0.01, "and not in the second"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("context", [60, 3 * DAY_MIN + 1])
def test_features_of_one_minute_are_those_among_others(zone: tzinfo, context: int) -> None:
    names = ("gap_kw", *DERIVED)
    for newest in (SPRING - 1, SPRING, SPRING + 20, SPRING + 7_777):
        measured = np.arange(2 * context, dtype=np.float32).reshape(2, context, 1)
        among = assemble(measured, np.array([newest, newest + 1]), names, zone)
        for _ in range(2):  # computed, and then taken from the cache
            np.testing.assert_array_equal(assemble(measured[:1], np.array([newest]), names, zone), among[:1])
        together = assemble(measured, np.array([newest, newest]), names, zone)
        np.testing.assert_array_equal(together[:, :, 1:], among[[0, 0], :, 1:])
        np.testing.assert_array_equal(together[:, :, :1], measured)


@pytest.mark.parametrize("n_days", [3, 5, 40])
def test_features_across_two_clock_changes_have_each_offset(n_days: int) -> None:
    """Morocco sets its clock back for Ramadan, here for 34 days: both ends of the window have the same offset."""
    zone, context = ZoneInfo("Africa/Casablanca"), n_days * DAY_MIN + 1
    last = int(datetime(2013, 8, 12, tzinfo=UTC).timestamp()) // 60
    newest = [last, last - 34 * DAY_MIN]
    windows = assemble(np.zeros((2, context, 1), dtype=np.float32), np.array(newest), ("gap_kw", *DERIVED), zone)
    for window, end in zip(windows[:, ::19], newest, strict=True):
        expected = [from_the_calendar(minute, zone) for minute in range(end - context + 1, end + 1, 19)]
        np.testing.assert_allclose(window[:, 1:], expected, rtol=0, atol=1e-6)


@given(
    st.lists(MINUTES | st.integers(-6_000, 6_000).map(lambda near: SPRING + near), max_size=12),
    st.sampled_from(ZONES),
)
def test_offset_min_matches_its_minute(minutes: list[int], zone: tzinfo) -> None:
    expected = [datetime.fromtimestamp(minute * 60, zone).utcoffset() for minute in minutes]
    for shape in ((-1,), (1, -1), (-1, 1)) if minutes else ((0,), (2, 0)):
        found = offset_min(np.array(minutes, dtype=np.int64).reshape(shape), zone)
        assert found.shape == np.zeros(len(minutes)).reshape(shape).shape
        assert [timedelta(minutes=offset) for offset in found.ravel().tolist()] == expected
    local = [datetime.fromtimestamp(minute * 60, zone) for minute in minutes]
    of_day = minute_of_day(np.array(minutes, dtype=np.int64), zone)
    assert of_day.tolist() == [60 * one.hour + one.minute for one in local]
    assert of_day.tolist() == [minute_of_day_at(minute, zone) for minute in minutes]


@pytest.mark.parametrize("zone", ZONES)
def test_features_of_no_windows_have_all_columns(zone: tzinfo) -> None:
    nothing = assemble(np.zeros((0, 30, 1), dtype=np.float32), np.zeros(0, dtype=np.int64), ("gap_kw", *DERIVED), zone)
    assert nothing.shape == (0, 30, 5)


def test_features_put_measured_columns_before_derived_ones() -> None:
    measured = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    midnight = np.array([21_476_160, 21_476_160 + DAY_MIN // 4])
    inputs = assemble(measured, midnight, ("gap_kw", "current_a", "tod_cos", "tod_sin"))
    assert np.array_equal(inputs[:, :, :2], measured)
    np.testing.assert_allclose(inputs[:, -1, 2:], [[1, 0], [0, 1]], atol=1e-6)


def test_features_of_power_alone_return_the_same_array() -> None:
    measured = np.ones((3, 4, 1), dtype=np.float32)
    assert assemble(measured, np.zeros(3, dtype=np.int64), ("gap_kw",)) is measured


def test_offset_min_without_an_offset_is_utc() -> None:
    class Floating(tzinfo):
        def utcoffset(self, _when: datetime | None) -> timedelta | None:
            return None

        def dst(self, _when: datetime | None) -> timedelta | None:
            return None

        def tzname(self, _when: datetime | None) -> str | None:
            return None

        def fromutc(self, when: datetime) -> datetime:
            return when

    assert offset_min(np.array([21_476_160]), Floating()).tolist() == [0]
    assert offset_min(np.array([21_476_160]), timezone(timedelta(hours=-3))).tolist() == [-180]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "the first feature must be gap_kw, not none"),
        (["voltage_v", "gap_kw"], "the first feature must be gap_kw, not voltage_v"),
        (["gap_kw", "mood"], "unknown feature mood: use one of gap_kw, reactive_kvar"),
        (["gap_kw", "tod_sin", "tod_sin"], "a feature is named twice in gap_kw, tod_sin, tod_sin"),
        (["gap_kw", "tod_sin", "voltage_v"], "measured features come before derived ones, but voltage_v follows"),
    ],
)
def test_problem_with_impossible_features_names_them(names: list[str], problem: str) -> None:
    assert problem in str(problem_with(names))


@pytest.mark.parametrize("names", [["gap_kw"], ["gap_kw", "tod_cos"], ["gap_kw", "current_a", "reactive_kvar"], ALL])
def test_problem_with_features_in_order_is_none(names: list[str]) -> None:
    assert problem_with(names) is None
    assert measured_in(names) == tuple(name for name in names if name in MEASURED)
    assert set(names) <= set(UNITS)
