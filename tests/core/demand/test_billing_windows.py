"""Billing windows on local clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.billing.billing_windows import BillingCalendar, calendar_of
from gapcast.core.billing.options import WINDOW_MINUTES, ActiveTimes

#: Offsets of whole hours, of 30 and 45 minutes, and a clock change of half an hour (Lord Howe Island).
ZONES = (
    "UTC", "Europe/Brussels", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Chatham", "America/St_Johns", "Asia/Pyongyang",
)  # fmt: skip
FIRST, LAST = 15_778_080, 41_000_000  # 2000 to 2047


def minute_at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) // 60


def starts_of_day(zone: str, day: str, window_min: int) -> list[str]:
    """The local times at which the windows of a local day start."""
    calendar = BillingCalendar(ZoneInfo(zone), window_min, ActiveTimes())
    minute = int(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp()) // 60
    found: list[str] = []
    while True:
        window = calendar.window_at(minute)
        local = datetime.fromtimestamp(window.start_minute * 60, ZoneInfo(zone))
        if str(local.date()) != day:
            return found
        found.append(f"{local:%H:%M}")
        minute = window.end_minute


@given(
    zone=st.sampled_from(ZONES),
    window_min=st.sampled_from(WINDOW_MINUTES),
    minute=st.integers(FIRST, LAST),
    n_windows=st.integers(1, 60),
)
def test_windows_of_any_zone_partition_time(zone: str, window_min: int, minute: int, n_windows: int) -> None:
    calendar = BillingCalendar(ZoneInfo(zone), window_min, ActiveTimes())
    for _ in range(n_windows):
        window = calendar.window_at(minute)
        start, end = window.start_minute, window.end_minute
        assert start <= minute < end
        assert end - start <= window_min
        assert {calendar.window_at(one) for one in (start, (start + end) // 2, end - 1)} == {window}
        assert calendar.window_at(end).start_minute == end
        assert calendar.window_at(start - 1).end_minute == start
        local = datetime.fromtimestamp(start * 60, ZoneInfo(zone))
        is_cut = end - start < window_min
        assert local.minute % window_min == 0 or is_cut
        assert (window.month, window.day) == (local.year * 12 + local.month - 1, local.day)
        minute = end


@pytest.mark.parametrize(("day", "n_hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
def test_windows_of_a_day_with_a_clock_change_are_of_its_hours(day: str, n_hours: int) -> None:
    starts = starts_of_day("Europe/Brussels", day, 15)
    assert len(starts) == 4 * n_hours
    assert len(set(starts)) == 4 * min(n_hours, 24)
    assert ("02:30" in starts) is (n_hours != 23)


def test_window_in_a_zone_of_45_minutes_begins_at_its_hour() -> None:
    calendar = BillingCalendar(ZoneInfo("Asia/Kathmandu"), 60, ActiveTimes())
    assert calendar.window_at(minute_at("2026-01-01T00:20+00:00"))[:2] == (
        minute_at("2026-01-01T06:00+05:45"),
        minute_at("2026-01-01T07:00+05:45"),
    )


def test_window_of_a_half_hour_change_is_cut() -> None:
    # On 5 April 2026 clocks go from 02:00 (+11:00) back to 01:30 (+10:30).
    calendar = BillingCalendar(ZoneInfo("Australia/Lord_Howe"), 60, ActiveTimes())
    change = minute_at("2026-04-05T02:00+11:00")
    assert calendar.window_at(change - 1)[:2] == (change - 60, change)
    assert calendar.window_at(change)[:2] == calendar.window_at(change + 29)[:2] == (change, change + 30)
    # On 4 October 2026 they go from 02:00 (+10:30) to 02:30 (+11:00).
    change = minute_at("2026-10-04T02:00+10:30")
    assert calendar.window_at(change + 3)[:2] == (change, change + 30)
    # On 5 May 2018 clocks went from 23:30 (+08:30) of the day before to 00:00 (+09:00).
    calendar = BillingCalendar(ZoneInfo("Asia/Pyongyang"), 60, ActiveTimes())
    midnight = minute_at("2018-05-05T00:00+09:00")
    assert calendar.window_at(midnight - 5)[:2] == (midnight - 30, midnight)
    calendar = BillingCalendar(ZoneInfo("Australia/Lord_Howe"), 20, ActiveTimes())
    assert calendar.window_at(change)[:2] == (change, change + 10)
    assert calendar.window_at(change - 1)[:2] == (change - 20, change)


@pytest.mark.parametrize(
    ("hours", "active"),
    [
        (((420, 1380),), ["07:00", "07:15", "22:00", "22:45"]),
        (((1320, 390),), ["00:00", "06:15", "22:00", "22:45", "23:00", "23:45"]),
        (((0, 15), (1425, 1440)), ["00:00", "23:45"]),
        (((0, 1440),), ["00:00", "06:15", "06:30", "06:45", "07:00", "07:15", "22:00", "22:45", "23:00", "23:45"]),
    ],
)
def test_window_is_active_if_it_starts_in_the_hours(hours: tuple[tuple[int, int], ...], active: list[str]) -> None:
    calendar = BillingCalendar(ZoneInfo("Europe/Brussels"), 15, ActiveTimes(hours=hours))
    times = ["00:00", "06:15", "06:30", "06:45", "07:00", "07:15", "22:00", "22:45", "23:00", "23:45"]
    found = [time for time in times if calendar.window_at(minute_at(f"2026-01-05T{time}+01:00")).is_active]
    assert found == active


@pytest.mark.parametrize(
    ("active", "text"),
    [
        (ActiveTimes(), ""),
        (ActiveTimes(hours=((960, 1_200),)), "hours 16:00-20:00"),
        (ActiveTimes(weekdays=frozenset({0, 4})), "weekdays mon,fri"),
        (ActiveTimes(months=frozenset({12, 1})), "months 1,12"),
    ],
)
def test_text_of_active_times_has_what_is_not_the_default(active: ActiveTimes, text: str) -> None:
    assert active.text == text


def test_window_is_active_on_its_weekdays_and_in_its_months() -> None:
    active = ActiveTimes(weekdays=frozenset({0}), months=frozenset({11}))
    calendar = BillingCalendar(UTC, 15, active)
    days = ("2026-11-02", "2026-11-03", "2026-12-07")
    assert [calendar.window_at(minute_at(f"{day}T08:00+00:00")).is_active for day in days] == [True, False, False]


def test_calendar_of_devices_with_the_same_windows_is_shared() -> None:
    assert calendar_of(UTC, 15, ActiveTimes()) is calendar_of(UTC, 15, ActiveTimes())
    assert calendar_of(UTC, 15, ActiveTimes()) is not calendar_of(UTC, 30, ActiveTimes())
