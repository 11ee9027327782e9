"""The power that the whole house may draw: what a limit leaves, less the reserve, and what a late controller needs."""

from __future__ import annotations

import pytest

from gapcast.core.demand.max_power import max_power_w
from tests.support.window_demands import demand_at, window_demand


def test_max_power_of_a_new_window_is_expected_plus_headroom() -> None:
    assert max_power_w(demand_at(0, so_far_kw=None, rest_kw=1.0, reserve_kw=0.5, limit_kw=2.5)) == 2_000


def test_max_power_is_what_the_limit_leaves_less_the_reserve() -> None:
    """After five minutes of 1 kW, 3.25 kW may be drawn in the other ten for a mean of 2.5 kW."""
    assert max_power_w(demand_at(5, so_far_kw=1.0, rest_kw=0.75, reserve_kw=0.5, limit_kw=2.5)) == 2_750


def test_max_power_does_not_depend_on_the_expected_power() -> None:
    powers_kw = (0.25, 1.0, 4.0)
    found = {max_power_w(demand_at(5, so_far_kw=1.0, rest_kw=one, reserve_kw=0.0625)) for one in powers_kw}
    assert len(found) == 1


@pytest.mark.parametrize("rest_kw", [0.5, 30.0])
def test_max_power_is_never_zero_or_negative(rest_kw: float) -> None:
    assert max_power_w(demand_at(10, so_far_kw=6.0, rest_kw=rest_kw, reserve_kw=0.5, limit_kw=2.5)) == 1


def test_max_power_of_the_last_minutes_holds_for_the_next_window() -> None:
    """The last minutes of an idle window leave much; the next one starts before a controller has another number."""
    following = window_demand(0, so_far_kw=None, rest_kw=0.25, reserve_kw=0.5, limit_kw=2.5, start_minute=15)
    found = {
        elapsed: max_power_w(demand_at(elapsed, so_far_kw=0.0, rest_kw=0.25, reserve_kw=0.5, following=following))
        for elapsed in (12, 13, 14)
    }
    assert found == {12: 12_000, 13: 2_000, 14: 2_000}


def test_max_power_of_the_last_minutes_is_the_lower_one() -> None:
    following = window_demand(0, so_far_kw=None, rest_kw=0.25, reserve_kw=0.5, limit_kw=99.0, start_minute=15)
    assert max_power_w(demand_at(14, so_far_kw=2.5, rest_kw=0.25, reserve_kw=0.25, following=following)) == 2_250
