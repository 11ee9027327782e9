"""Local times without an offset, across both daylight saving changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import PayloadError
from gapcast.core.meters.localtime import dsmr_instant_of, local_instant_of

PARIS = ZoneInfo("Europe/Paris")


def epoch_ms(rfc3339: str) -> int:
    return round(datetime.fromisoformat(rfc3339).timestamp() * 1_000)


@given(
    st.datetimes(datetime(2001, 1, 1), datetime(2037, 12, 31)),  # noqa: DTZ001 - made aware below
    st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_local_time_of_a_live_meter_is_right_in_any_zone(at: datetime, name: str) -> None:
    instant = at.replace(tzinfo=UTC, microsecond=0)
    zone = ZoneInfo(name)
    shown = instant.astimezone(zone).replace(tzinfo=None).isoformat()
    arrived_ms = round((instant + timedelta(seconds=3)).timestamp() * 1_000)
    assert local_instant_of(shown, zone, arrived_ms, None) == arrived_ms - 3_000


def test_local_time_repeated_hour_is_resolved_by_arrival() -> None:
    first, second = epoch_ms("2023-10-29T00:30:00Z"), epoch_ms("2023-10-29T01:30:00Z")
    assert local_instant_of("2023-10-29T02:30:00", PARIS, first + 2_000, None) == first
    assert local_instant_of("2023-10-29T02:30:00", PARIS, second + 2_000, None) == second
    assert local_instant_of("2023-10-29 02:30:00.000", PARIS, second - 90_000, None) == second  # a clock that is ahead


@pytest.mark.parametrize("hours", [-5.9, 5.9])
def test_local_time_repeated_hour_of_a_live_meter_is_the_nearer_one(hours: float) -> None:
    """A meter with a clock up to six hours off counts as live: the order of its readings does not matter."""
    first, second = epoch_ms("2023-10-29T00:30:00Z"), epoch_ms("2023-10-29T01:30:00Z")
    nearer, other = (first, second) if hours < 0 else (second, first)
    arrived_ms = nearer + round(hours * 3_600_000)
    for before_ms in (None, other - 60_000):
        assert local_instant_of("2023-10-29T02:30:00", PARIS, arrived_ms, before_ms) == nearer


def test_local_time_repeated_hour_in_a_replay_is_in_order() -> None:
    shown = [f"2023-10-29T{hour:02}:{minute:02}:00" for hour in (1, 2, 2, 3) for minute in range(0, 60, 5)]
    long_after, last_ms = epoch_ms("2026-01-01T00:00:00Z"), None
    found = []
    for text in shown:
        last_ms = local_instant_of(text, PARIS, long_after, last_ms)
        found.append(last_ms)
        assert local_instant_of(text, PARIS, long_after, last_ms) == last_ms, "sent again"
    began_ms = epoch_ms("2023-10-28T23:00:00Z")
    assert found == [began_ms + i * 300_000 for i in range(len(shown))]


def test_local_time_restarted_replay_uses_the_first_of_both_hours() -> None:
    first, years_later = epoch_ms("2023-10-29T00:30:00Z"), epoch_ms("2026-01-01T00:00:00Z")
    assert local_instant_of("2023-10-29T02:30:00", PARIS, years_later, epoch_ms("2025-06-01T00:00:00Z")) == first


def test_local_time_skipped_hour_uses_the_offset_before() -> None:
    for arrived in ("2023-03-26T01:30:02Z", "2026-01-01T00:00:00Z"):
        found = local_instant_of("2023-03-26T02:30:00", PARIS, epoch_ms(arrived), None)
        assert found == epoch_ms("2023-03-26T01:30:00Z")
    assert local_instant_of("2023-03-26T03:30:00", PARIS, 0, None) == epoch_ms("2023-03-26T01:30:00Z")


@pytest.mark.parametrize(
    "text",
    [
        None, 1_672_531_200, "2023-10-29", "2023-10-29T02:30", "2023-10-29T02:30:00Z", "2023-10-29T02:30:00+02:00",
        "2023-02-30T00:00:00", "0000-01-01T00:00:00", "0001-01-01T00:00:00", "yesterday", "x" * 1_000,
    ],
)  # fmt: skip
def test_local_time_rejects_invalid_text(text: object) -> None:
    with pytest.raises(PayloadError) as refused:
        local_instant_of(text, PARIS, 0, None)
    assert refused.value.reason == "bad_time"
    assert len(refused.value.detail) < 250


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("261201084800W", "2026-12-01T07:48:00Z"),
        ("210701120000S", "2021-07-01T10:00:00Z"),
        ("210701120000W", "2021-07-01T11:00:00Z"),
        ("211201120000S", "2021-12-01T10:00:00Z"),
        ("231029023000S", "2023-10-29T00:30:00Z"),
        ("231029023000W", "2023-10-29T01:30:00Z"),
    ],
)
def test_dsmr_time_has_the_offset_of_its_letter(text: str, instant: str) -> None:
    assert dsmr_instant_of(text, PARIS) == epoch_ms(instant)


@pytest.mark.parametrize(
    ("name", "winter", "summer"),
    [
        ("Europe/Dublin", "2021-12-01T12:00:00Z", "2021-07-01T11:00:00Z"),
        ("Australia/Lord_Howe", "2021-12-01T01:30:00Z", "2021-07-01T01:00:00Z"),
        ("UTC", "2021-12-01T12:00:00Z", "2021-07-01T12:00:00Z"),
    ],
)
def test_dsmr_time_is_right_in_any_zone(name: str, winter: str, summer: str) -> None:
    zone = ZoneInfo(name)
    assert [dsmr_instant_of(text, zone) for text in ("211201120000W", "210701120000S")] == [
        epoch_ms(winter), epoch_ms(summer),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["261201084800", "261201084800X", "261201084800w", "2023-10-29T02:30:00", 5, None])
def test_dsmr_time_returns_none_for_other_values(value: object) -> None:
    assert dsmr_instant_of(value, PARIS) is None


def test_dsmr_time_of_a_date_that_does_not_exist_is_rejected() -> None:
    with pytest.raises(PayloadError, match="'261301084800W' is not a time: month must be"):
        dsmr_instant_of("261301084800W", PARIS)
