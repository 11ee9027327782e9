"""Meters' clocks against the gateway's: what is reported, and what counts as delivery delay, backlog or replay."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from gapcast.core.monitoring.clocks import MAX_AHEAD_MIN, MAX_BEHIND_MIN, ClockChange, ClockMonitor, clock_fix


def test_clock_offset_is_reported_once_and_cleared_once() -> None:
    clocks = ClockMonitor(10)
    found = [clocks.check("home", 7, 60.0 * minute) for minute in range(5)]
    assert found == [None, ClockChange.OFF, None, None, None]
    assert (clocks.reported_min, len(clocks)) == ({"home": 7}, 1)
    assert [clocks.check("home", 0, 300.0), clocks.check("home", 0, 360.0)] == [ClockChange.RIGHT, None]
    assert (clocks.reported_min, len(clocks)) == ({}, 0)


def test_clock_delivery_delay_is_not_an_offset() -> None:
    clocks = ClockMonitor(10)
    for ahead_min in range(-MAX_BEHIND_MIN, MAX_AHEAD_MIN + 1):
        assert clocks.check("home", ahead_min, 0.0) is None
    assert len(clocks) == 0


def test_clock_backlog_and_replay_are_not_an_offset() -> None:
    clocks = ClockMonitor(10)
    assert {clocks.check("kept", -600 + minute, minute / 100) for minute in range(590)} == {None}
    assert {clocks.check("replay", -100_000 + 59 * minute, 60.0 * minute) for minute in range(100)} == {None}
    assert clocks.reported_min == {}


def test_clock_single_reading_ahead_is_not_reported() -> None:
    clocks = ClockMonitor(10)
    assert [clocks.check("home", ahead, 60.0 * i) for i, ahead in enumerate((0, 90, 0, 90, 0))] == [None] * 5


def test_clock_changed_offset_is_reported_again() -> None:
    clocks = ClockMonitor(10)
    found = [clocks.check("home", ahead, 999 + 60.0 * i) for i, ahead in enumerate((60, 60, 120, 120, 120))]
    assert found == [None, ClockChange.OFF, None, ClockChange.OFF, None]
    assert clocks.reported_min == {"home": 120}


def test_clock_tracks_at_most_the_device_limit() -> None:
    clocks = ClockMonitor(2)
    for device in ("a", "b", "c"):
        clocks.check(device, 60, 0.0)
    assert len(clocks) == 2
    assert [clocks.check(device, 60, 60.0) for device in ("a", "b", "c")] == [ClockChange.OFF, ClockChange.OFF, None]


def test_clock_of_a_forgotten_device_is_no_longer_off() -> None:
    clocks = ClockMonitor(10)
    for device in ("off", "new", "right"):
        clocks.check(device, 0 if device == "right" else 60, 0.0)
    assert clocks.check("off", 60, 60.0) is ClockChange.OFF
    for device in ("off", "new", "right"):
        clocks.forget(device)
    assert (clocks.reported_min, len(clocks)) == ({}, 0)


@pytest.mark.parametrize(("ahead_min", "is_a_zone"), [(60, True), (-118, True), (330, True), (17, False), (2, False)])
def test_clock_offset_of_local_times_names_the_zone(ahead_min: int, is_a_zone: bool) -> None:
    fix = clock_fix(ahead_min, ZoneInfo("Europe/Berlin"))
    assert fix.startswith("the meter's local times are read as Europe/Berlin: set site.timezone") is is_a_zone
    assert 'time_form = "local"' not in fix


JULY_MS, JANUARY_MS = 1_782_900_000_000, 1_767_225_600_000


@pytest.mark.parametrize(
    ("zone", "now_ms", "ahead_min", "timezone"),
    [
        ("Europe/Berlin", JULY_MS, -60, '"Etc/GMT-1"'),
        ("Europe/Berlin", JULY_MS, -58, '"Etc/GMT-1"'),
        ("Europe/Dublin", JULY_MS, -60, '"Etc/GMT+0"'),
        ("America/New_York", JULY_MS, -60, '"Etc/GMT+5"'),
        ("Australia/Adelaide", JANUARY_MS, -60, "a zone without it"),
        ("Australia/Lord_Howe", JANUARY_MS, -30, "a zone without it"),
    ],
)
def test_clock_without_daylight_saving_names_its_rules(zone: str, now_ms: int, ahead_min: int, timezone: str) -> None:
    fix = clock_fix(ahead_min, ZoneInfo(zone), now_ms)
    assert fix.startswith("the meter's clock ignores daylight saving time: set its rules (Tasmota: Timezone 99, ")
    assert fix.endswith(f"or set timezone of its source, not site.timezone, to {timezone}")


@pytest.mark.parametrize(
    ("zone", "now_ms", "ahead_min"),
    [
        ("Europe/Berlin", JANUARY_MS, -60),
        ("Europe/Berlin", JULY_MS, 60),
        ("Europe/Berlin", JULY_MS, -120),
        ("Asia/Tokyo", JULY_MS, -60),
    ],
)
def test_clock_offset_of_another_cause_is_not_daylight_saving(zone: str, now_ms: int, ahead_min: int) -> None:
    assert clock_fix(ahead_min, ZoneInfo(zone), now_ms).startswith("the meter's local times are read as ")


@pytest.mark.parametrize(
    ("ahead_min", "is_a_zone"),
    [(60, True), (-60, True), (121, True), (-118, True), (330, False), (90, False), (-1_440, False), (2, False)],
)
def test_clock_offset_of_whole_hours_suggests_a_time_zone(ahead_min: int, is_a_zone: bool) -> None:
    assert ("local time" in clock_fix(ahead_min)) is is_a_zone
