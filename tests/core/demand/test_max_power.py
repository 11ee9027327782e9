"""The power that the whole house may draw: the rest of the limit, minus the reserve, also for late controllers."""

from __future__ import annotations

import pytest

from gapcast.core.demand.documents.max_power import max_powers_w
from tests.support.window_demands import MadeWindow, demands_of


def max_power_w(running: MadeWindow, following: MadeWindow | None = None) -> int:
    (number,) = max_powers_w(demands_of(running, following))
    return number


def test_max_power_of_a_new_window_is_expected_plus_headroom() -> None:
    assert max_power_w(MadeWindow(0, None, rest_kw=1.0, reserve_kw=0.5)) == 2_000


def test_max_power_without_a_known_minute_is_expected_plus_headroom() -> None:
    """Four minutes are over, and none had a reading."""
    new, unknown = (MadeWindow(elapsed, None, 1.0, 0.5) for elapsed in (0, 4))
    running = demands_of(unknown).running
    assert max_powers_w(demands_of(unknown)) == [int(1_000 * (running.expected_kw + running.headroom_kw)[0] + 1e-9)]
    assert max_power_w(new) == 2_000


def test_max_power_is_what_the_limit_leaves_less_the_reserve() -> None:
    """After five minutes of 1 kW, 3.25 kW may be drawn in the other ten for a mean of 2.5 kW."""
    assert max_power_w(MadeWindow(5, 1.0, rest_kw=0.75, reserve_kw=0.5)) == 2_750


def test_max_power_after_unmeasured_minutes_leaves_their_reserve_too() -> None:
    """Twelve minutes of 0.75 kW and a reserve of 0.5 kW: the other two may draw what remains of 37.5 kW minutes."""
    after_gap = MadeWindow(13, 1.0, rest_kw=0.75, reserve_kw=0.5, unmeasured_min=10)
    following = MadeWindow(0, None, rest_kw=0.75, reserve_kw=0.5, limit_kw=99.0)
    headroom_kw = (37.5 - 3 * 1.0 - 12 * 1.25) / 2
    assert max_power_w(after_gap, following) == 1_000 * (0.75 + headroom_kw)


def test_max_power_does_not_depend_on_the_expected_power() -> None:
    assert len({max_power_w(MadeWindow(5, 1.0, one, reserve_kw=0.0625)) for one in (0.25, 1.0, 4.0)}) == 1


@pytest.mark.parametrize("rest_kw", [0.5, 30.0])
def test_max_power_is_never_zero_or_negative(rest_kw: float) -> None:
    assert max_power_w(MadeWindow(10, 6.0, rest_kw, reserve_kw=0.5)) == 1


def test_max_power_of_the_last_minutes_holds_for_the_next_window() -> None:
    """An idle window leaves much power at its end, but the next starts before a controller gets a new number."""
    found = {elapsed: max_power_w(MadeWindow(elapsed, 0.0, rest_kw=0.25, reserve_kw=0.5)) for elapsed in (12, 13, 14)}
    assert found == {12: 12_000, 13: 2_000, 14: 2_000}


def test_max_power_of_the_last_minutes_is_the_lower_one() -> None:
    following = MadeWindow(0, None, rest_kw=0.25, reserve_kw=0.5, limit_kw=99.0)
    assert max_power_w(MadeWindow(14, 2.5, rest_kw=0.25, reserve_kw=0.25), following) == 2_250
