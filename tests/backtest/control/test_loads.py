"""The car and the dishwasher, minute by minute."""

from __future__ import annotations

import math

import pytest

from gapcast.backtest.control.controlled_house import NONE
from gapcast.backtest.control.loads import Loads, charger_kw

SIX, SEVEN = 18 * 60, 31 * 60  # of the local clock, minutes; seven of the next morning


def night(loads: Loads, first: int = SIX, last: int = SEVEN) -> list[tuple[float, float]]:
    """Draw the minutes of an evening from ``first`` to ``last`` as commanded before."""
    return [loads.draw(1, local) for local in range(first, last)]


@pytest.mark.parametrize(("allowed_kw", "kw"), [(-3.0, 0.0), (1.37, 0.0), (1.38, 1.38), (2.31, 2.3), (7.4, 7.36)])
def test_charger_draws_whole_amperes(allowed_kw: float, kw: float) -> None:
    assert charger_kw(allowed_kw) == kw


def test_car_draws_until_it_has_its_energy() -> None:
    loads = Loads()
    loads.command(math.inf, starts_dishwasher=False)
    car_kw = [car for car, _ in night(loads)]
    assert sum(car_kw) / 60 == pytest.approx(8.0)
    assert (car_kw[0], car_kw[64], car_kw[66]) == (7.36, 7.36, 0.0)
    result = loads.finish()
    assert (result.n_evenings, result.n_short, result.n_starts) == (1, 0, 1)
    assert result.missing_kwh == pytest.approx(0.0, abs=1e-9)


def test_energy_missing_in_the_morning_is_counted() -> None:
    loads = Loads()
    night(loads)
    assert loads.draw(NONE, SEVEN) == (0.0, 0.0)
    result = loads.finish()
    assert (result.missing_kwh, result.n_short) == (8.0, 1)


def test_dishwasher_starts_at_command_and_is_not_interrupted() -> None:
    loads = Loads()
    night(loads, SIX, SIX + 10)
    loads.command(0.0, starts_dishwasher=True)
    kw = []
    for local in range(SIX + 10, SIX + 70):
        kw.append(loads.draw(1, local)[1])
        loads.command(0.0, starts_dishwasher=False)
    assert kw == [2.0] * 45 + [0.0] * 15
    result = loads.finish()
    assert result.delay_min == 10


def test_dishwasher_starts_in_time_by_itself() -> None:
    loads = Loads()
    kw = [dishwasher for _, dishwasher in night(loads)]
    assert [i for i, one in enumerate(kw) if one] == list(range(195, 240))  # 21:15 to 22:00
    assert loads.result.delay_min == 195


def test_loads_are_away_outside_of_evenings() -> None:
    loads = Loads()
    loads.command(math.inf, starts_dishwasher=True)
    assert loads.draw(NONE, 12 * 60) == (0.0, 0.0)
    assert loads.finish().n_evenings == 0
