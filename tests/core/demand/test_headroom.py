"""Whether a load may be drawn: its windows, their combined risk, the maximum power, the earliest start."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from gapcast.core.billing.options import LimitSource
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distributions.exceedances import any_minute, any_window
from gapcast.core.demand.documents.headroom_document import HEADROOM_FIELDS, HEADROOM_WINDOW_FIELDS, headroom_document
from gapcast.core.demand.headroom.headroom import HORIZON_MIN, Headroom, LoadRisks, WindowFrom
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest, headroom_request
from gapcast.core.errors import RequestError
from tests.support.powers_ahead import NOON, demand, powers, window

HIGHEST_KW = 100.0


def windows_of(one: Demand, limit_kw: float | None) -> WindowFrom:
    length_min = one.next.end_minute - one.next.start_minute
    return lambda start: (start + length_min, limit_kw)


def ask(one: Demand, kw: float, minutes: int, power: Any = None, *, limit_kw: float | None = 2.5) -> Headroom:
    request, windows = HeadroomRequest(kw, minutes), windows_of(one, limit_kw)
    return LoadRisks(one, request, power or powers(), above, windows).answer(HIGHEST_KW)


def above(kw: float) -> np.ndarray:
    """The minutes of :func:`powers` with equal powers."""
    return np.full(HORIZON_MIN, 1 - NormalDist(1.0, 0.2).cdf(kw))


def test_load_in_the_running_window_shares_its_rest() -> None:
    found = ask(demand(), 1.9, 10)
    (touched,) = found.windows
    assert (touched.start_minute, touched.end_minute, touched.load_min) == (NOON, NOON + 15, 10)
    assert found.start_minute == NOON + 5
    assert touched.median_kw == pytest.approx((5 * 1.0 + 10 * 1.0 + 10 * 1.9) / 15, abs=1e-4)
    left_kw = (15 * 2.5 - 5 * 1.0 - 10 * 1.9) / 10  # what the ten minutes may draw on their own: 1.35 kW
    assert touched.p_exceed == pytest.approx(1 - NormalDist(1.0, 0.2).cdf(left_kw), abs=3e-3)
    assert found.p_exceed == pytest.approx(touched.p_exceed)
    assert found.p_exceed_without < found.p_exceed
    assert found.is_allowed


def test_unmeasured_minutes_are_as_uncertain_as_the_rest() -> None:
    """Four of the five elapsed minutes are unknown: the load shares what fourteen minutes may draw."""
    running = replace(demand().running, n_known=1)
    asked: list[tuple[int, int, float]] = []

    def of(*ranges: Any) -> Any:
        asked.extend(zip(*(one.tolist() for one in ranges), strict=True))
        return powers()(*ranges)

    (touched,) = ask(demand(running=running), 1.9, 10, of).windows
    assert asked[:2] == [(0, 14, 0.0), (10, 25, 0.0)]
    assert touched.median_kw == pytest.approx((1 * 1.0 + 14 * 1.0 + 10 * 1.9) / 15, abs=1e-4)
    left_kw = (15 * 2.5 - 1 * 1.0 - 10 * 1.9) / 14
    assert touched.p_exceed == pytest.approx(1 - NormalDist(1.0, 0.2).cdf(left_kw), abs=3e-3)


def test_load_of_some_minutes_counts_only_those() -> None:
    longer, shorter = ask(demand(), 2.0, 10), ask(demand(), 2.0, 5)
    assert shorter.p_exceed < longer.p_exceed
    assert shorter.windows[0].median_kw == pytest.approx((15 + 5 * 2.0) / 15, abs=1e-4)


def test_load_over_several_windows_touches_each() -> None:
    found = ask(demand(), 1.4, 45)
    assert [one.load_min for one in found.windows] == [10, 15, 15, 5]
    assert [one.start_minute - NOON for one in found.windows] == [0, 15, 30, 45]
    each = np.array([one.p_exceed for one in found.windows])
    assert found.p_exceed == pytest.approx(float(any_window(each)))
    assert found.p_exceed >= max(each)


def test_window_without_a_limit_has_no_risk() -> None:
    unlimited = demand(running=replace(demand().running, limit_kw=None, limit_source=LimitSource.NONE))
    found = ask(unlimited, 50.0, 10)
    assert (found.p_exceed, found.windows[0].limit_kw, found.windows[0].p_exceed) == (0.0, None, 0.0)
    assert found.is_allowed
    assert found.max_kw == HIGHEST_KW


def test_later_windows_have_their_own_limits() -> None:
    asked: list[int] = []

    def window_from(start: int) -> tuple[int, float | None]:
        asked.append(start)
        return start + 15, None if start >= NOON + 60 else 2.5

    found = LoadRisks(demand(), HeadroomRequest(1.0, 70), powers(), above, window_from).answer(HIGHEST_KW)
    assert [one.limit_kw for one in found.windows] == [2.5, 2.5, 2.5, 2.5, None]
    assert min(asked) == NOON + 30


@pytest.mark.parametrize("minutes", [1, 10, 11, 45, 120, 1_440])
@pytest.mark.parametrize("elapsed_min", [0, 5, 14])
@pytest.mark.parametrize("fuse_kw", [None, 6.0])
def test_largest_power_is_allowed_and_one_watt_more_is_not(
    minutes: int, elapsed_min: int, fuse_kw: float | None
) -> None:
    one = demand(elapsed_min, fuse_kw=fuse_kw)
    max_kw = ask(one, 1.0, minutes).max_kw
    assert 0 < max_kw < HIGHEST_KW
    assert ask(one, max_kw, minutes).is_allowed
    assert not ask(one, round(max_kw + 0.001, 3), minutes).is_allowed


def test_largest_power_is_zero_where_the_house_exceeds_the_limit() -> None:
    found = ask(demand(), 1.0, 10, powers(3.5))
    assert (found.max_kw, found.is_allowed, found.earliest_start_minute) == (0.0, False, None)
    assert found.p_exceed_without > 0.5


def test_largest_power_grows_with_the_accepted_risk() -> None:
    found = [ask(demand(risk=risk), 1.0, 30).max_kw for risk in (0.01, 0.05, 0.2)]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_earliest_start_waits_for_the_end_of_a_full_window() -> None:
    full = demand(running=replace(demand().running, so_far_kw=4.5))
    found = ask(full, 0.8, 30)
    assert not found.is_allowed
    start = found.earliest_start_minute
    assert start is not None
    assert NOON + 5 < start <= NOON + 15
    assert found.windows[0].p_exceed > 0.05


def test_earliest_start_is_now_for_an_allowed_load() -> None:
    found = ask(demand(), 1.0, 30)
    assert (found.is_allowed, found.earliest_start_minute) == (True, found.start_minute)


def test_earliest_start_is_within_the_hour() -> None:
    quiet_later = powers(2.6, 0.1, later_kw=-2.0, from_min=45)
    found = ask(demand(0), 1.5, 15, quiet_later)
    assert not found.is_allowed
    assert found.earliest_start_minute is not None
    assert NOON + 30 < found.earliest_start_minute <= NOON + HORIZON_MIN
    assert ask(demand(0), 1.5, 15, powers(2.6, 0.1)).earliest_start_minute is None


@pytest.mark.parametrize(("elapsed_min", "free_from"), [(0, NOON + 60), (14, None)])
def test_earliest_start_is_an_hour_away_at_most(elapsed_min: int, free_from: int | None) -> None:
    """From some minute on there is no limit: 60 minutes away, or 61."""

    def window_from(start: int) -> tuple[int, float | None]:
        return start + 15, None if start >= NOON + 60 + elapsed_min else 2.5

    found = LoadRisks(demand(elapsed_min), HeadroomRequest(50.0, 1), powers(), above, window_from).answer(HIGHEST_KW)
    assert found.earliest_start_minute == free_from


def test_windows_after_the_outlook_have_the_power_of_its_end() -> None:
    found = ask(demand(0), 1.0, 120, powers(1.0, later_kw=0.5, from_min=45))
    assert [one.is_approximate for one in found.windows] == [False] * 4 + [True] * 4
    assert [round(one.median_kw, 3) for one in found.windows] == [2.0] * 3 + [2.5] * 5


def test_window_that_ends_after_the_outlook_is_the_last_full_one() -> None:
    asked: list[tuple[int, int]] = []
    made = powers()

    def of(ahead_from: Any, ahead_to: Any, planned_kw: Any) -> Any:
        asked.extend(zip(ahead_from.tolist(), ahead_to.tolist(), strict=True))
        return made(ahead_from, ahead_to, planned_kw)

    ask(demand(20, 60), 1.0, 120, of)
    assert asked == [(0, 40), (0, 60), (40, 100)]


@pytest.mark.parametrize("window_min", [5, 15, 30, 60])
def test_whole_day_with_any_window_is_answered(window_min: int) -> None:
    found = ask(demand(3, window_min), 0.5, 1_440)
    assert sum(one.load_min for one in found.windows) == 1_440
    assert found.windows[-1].end_minute >= NOON + 3 + 1_440


def test_window_that_a_clock_change_cuts_short_has_its_own_length() -> None:
    """Lord Howe Island changes its offset by half an hour, in the middle of an hourly window."""

    def window_from(start: int) -> tuple[int, float | None]:
        return start + (30 if start == NOON + 120 else 60), 2.5

    found = LoadRisks(demand(0, 60), HeadroomRequest(1.0, 180), powers(), above, window_from).answer(HIGHEST_KW)
    assert [(one.end_minute - one.start_minute, one.load_min) for one in found.windows] == [
        (60, 60), (60, 60), (30, 30), (60, 30),
    ]  # fmt: skip
    assert [round(one.median_kw, 3) for one in found.windows] == [2.0, 2.0, 2.0, 1.5]


# --- the fuse ----------------------------------------------------------------------------------------


def test_fuse_counts_each_minute_while_the_load_runs() -> None:
    free = demand(fuse_kw=3.0, running=replace(demand().running, limit_kw=None), next=window(NOON + 15, limit_kw=None))
    found = ask(free, 1.6, 10, limit_kw=None)
    each = 1 - NormalDist(1.0, 0.2).cdf(3.0 - 1.6)
    assert found.p_fuse == pytest.approx(float(any_minute(np.full(10, each))), abs=1e-9)
    assert (found.p_exceed, found.is_allowed) == (0.0, found.p_fuse is not None and found.p_fuse <= 0.05)
    longer = ask(free, 1.6, 20, limit_kw=None)
    assert None not in (found.p_fuse, longer.p_fuse)
    assert (longer.p_fuse or 0) > (found.p_fuse or 1)
    assert 1.0 < found.max_kw < 2.0


def test_fuse_after_the_outlook_has_the_risk_of_its_last_minute() -> None:
    p_above = np.array([0.0] * (HORIZON_MIN - 2) + [0.1, 0.2])
    request, windows = HeadroomRequest(1.0, HORIZON_MIN + 9), windows_of(demand(), None)
    found = LoadRisks(demand(fuse_kw=3.0), request, powers(), lambda _: p_above, windows).answer(HIGHEST_KW)
    assert found.p_fuse == pytest.approx(float(any_minute(np.array([0.1] + [0.2] * 10))))


def test_fuse_that_blows_refuses_a_load_that_the_window_takes() -> None:
    found = ask(demand(fuse_kw=3.0), 3.0, 2)
    assert found.p_exceed < 0.05
    assert found.p_fuse is not None
    assert found.p_fuse > 0.9
    assert not found.is_allowed


def test_any_minute_is_at_least_the_worst_minute() -> None:
    assert float(any_minute(np.array([0.9, 0.0]))) == 0.9
    assert float(any_minute(np.array([0.2] * 45))) > 0.2


# --- requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kw", "minutes", "detail"),
    [
        (0, 45, "kw: 0 kW must be at least 0.001 and at most 100 (limits.max_kw)"),
        (-2.0, 45, "kw: -2 kW must be at least 0.001"),
        (
            1_000,
            45,
            "kw: 1000 kW must be at least 0.001 and at most 100 (limits.max_kw): is it in watts? 1000 W",
        ),
        (float("nan"), 45, "kw: nan kW must be at least 0.001"),
        (float("inf"), 45, "kw: inf kW must be at least 0.001 and at most 100 (limits.max_kw)"),
        (10**400, 45, "kw: a number of many digits kW must be at least 0.001 and at most 100 (limits.max_kw)"),
        (-(10**400), 45, "kw: a number of many digits kW must be at least 0.001"),
        ("2", 45, "kw: must be a number of kW, not '2'"),
        (True, 45, "kw: must be a number of kW, not true"),
        (None, 45, "kw: must be a number of kW, not null"),
        (2, 0, "minutes: must be 1 to 1440, which is a day, not 0"),
        (2, 10_000, "minutes: must be 1 to 1440, which is a day, not 10000"),
        (2, 10**20, "minutes: must be 1 to 1440, which is a day, not 100000000000000000000"),
        (2, 10**400, "minutes: must be 1 to 1440, which is a day, not a number of many digits"),
        (2, 45.5, "minutes: must be a whole number, not 45.5"),
        (2, False, "minutes: must be a whole number, not false"),
        (2, "x" * 99, f"minutes: must be a whole number, not '{'x' * 39}…"),
    ],
)
def test_unusable_request_names_the_value_and_the_range(kw: object, minutes: object, detail: str) -> None:
    with pytest.raises(RequestError) as raised:
        headroom_request(kw, minutes, HIGHEST_KW)
    assert str(raised.value).startswith(detail)


def test_usable_request_is_read() -> None:
    assert headroom_request(100, 1_440, HIGHEST_KW) == HeadroomRequest(100.0, 1_440)


# --- the document ------------------------------------------------------------------------------------


def test_document_has_its_fields() -> None:
    document = headroom_document(ask(demand(fuse_kw=9.2), 1.0, 30))
    assert [*document] == [*(field.name for field in HEADROOM_FIELDS), "windows"]
    assert [*document["windows"][0]] == [field.name for field in HEADROOM_WINDOW_FIELDS]
    assert document["start"] == document["earliest_start"] == "2010-11-01T12:05:00Z"
    assert document["valid_until"] == "2010-11-01T12:09:00Z"
    assert (document["allowed"], document["fuse_kw"], document["kw"], document["minutes"]) == (True, 9.2, 1.0, 30)


def test_document_has_null_for_what_does_not_exist() -> None:
    document = headroom_document(ask(demand(), 1.0, 90, powers(3.5), limit_kw=None))
    assert (document["fuse_kw"], document["p_fuse"]) == (None, None)
    assert document["windows"][2]["limit_kw"] is None
    refused = headroom_document(ask(demand(), 1.0, 90, powers(3.5)))
    assert (refused["earliest_start"], refused["allowed"], refused["max_kw"]) == (None, False, 0.0)
