"""When a house is refitted."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.time_grid import DAY_MIN
from gapcast.refit.minutes import MAX_MINUTES
from gapcast.refit.schedule import LEAST_READINGS, LastRefit, is_due, night_minute, night_of
from tests.support.houses import FIRST

FULL = MAX_MINUTES


@pytest.mark.parametrize(
    ("n_readings", "last", "every_days", "due"),
    [
        (LEAST_READINGS - 1, None, 1, False),
        (LEAST_READINGS, None, 14, True),
        (4_000, LastRefit(9, 3_000), 14, False),
        (4_500, LastRefit(9, 3_000), 14, True),  # grown by half
        (9_000, LastRefit(10, 3_000), 1, False),  # this night
        (FULL + 900, LastRefit(9, FULL), 14, False),  # as long as it gets
        (FULL, LastRefit(9, FULL), 1, True),
        (FULL, LastRefit(-4, FULL), 14, True),
    ],
)
def test_house_is_due(n_readings: int, last: LastRefit | None, every_days: int, due: bool) -> None:
    assert is_due(10, n_readings, last, every_days) is due


def test_night_begins_at_its_minute_of_the_local_day() -> None:
    begins = [
        minute
        for minute in range(FIRST, FIRST + 2 * DAY_MIN)
        if night_of(minute, UTC, 200) != night_of(minute - 1, UTC, 200)
    ]
    assert begins == [FIRST + 200, FIRST + DAY_MIN + 200]
    berlin = ZoneInfo("Europe/Berlin")
    assert night_of(FIRST + 140, berlin, 200) == night_of(FIRST + 139, berlin, 200) + 1


@given(gateway=st.text(max_size=64))
def test_gateways_begin_between_one_and_five(gateway: str) -> None:
    assert 60 <= night_minute(gateway) < 300
