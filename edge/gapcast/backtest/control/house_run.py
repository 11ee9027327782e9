"""One house with its loads under one strategy, minute by minute."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gapcast.backtest.control.controlled_house import ControlledHouse
from gapcast.backtest.control.limits import RunningLimit
from gapcast.backtest.control.loads import DISHWASHER_KW, Loads
from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.options import DemandOptions


class Observed(NamedTuple):
    """What a strategy observes: the power of a reading, the car's part of it, and the limit of the next window.

    All in kW; ``limit_kw`` is None if none applies.
    """

    total_kw: float
    car_kw: float
    limit_kw: float | None


#: Returns the power that loads may draw in the next minute, including the car, kW.
Rule = Callable[[Observed], float]


class HouseRun:
    """Adds the loads to a house, and tracks its limit."""

    def __init__(self, house: ControlledHouse, options: DemandOptions) -> None:
        self.house = house
        self.loads = Loads()
        self.limit = RunningLimit(house.local, options)
        #: The house's power with the loads, NaN where the house's own power is unknown.
        self.total_kw: F64 = np.full(len(house.kw), np.nan)
        self.car_kw = 0.0
        self._kw: list[float] = house.kw.tolist()
        self._local: list[int] = house.local.tolist()
        self._evenings: list[int] = house.evenings.tolist()
        self.index = 0

    @property
    def is_over(self) -> bool:
        """Whether all minutes are over."""
        return self.index >= len(self._kw)

    def step(self) -> Observed | None:
        """Draw the power of the next minute; return what is known then, or None if the minute has no reading."""
        index = self.index
        self.car_kw, dishwasher_kw = self.loads.draw(self._evenings[index], self._local[index])
        total_kw = self._kw[index] + self.car_kw + dishwasher_kw
        self.total_kw[index] = total_kw
        self.limit.add(index, total_kw)
        self.index = index + 1
        if math.isnan(total_kw):
            return None
        return Observed(total_kw, self.car_kw, self.limit.limit_kw(self.index))

    def allow(self, power_kw: float, *, is_late: bool = False) -> None:
        """Allow the loads ``power_kw``: first the dishwasher if the power suffices for it, then the car.

        ``is_late``: the dishwasher waits until its latest start.
        """
        waits = not is_late and (self.loads.is_waiting or power_kw == math.inf)
        starts = waits and power_kw >= DISHWASHER_KW
        self.loads.command(power_kw - DISHWASHER_KW * starts, starts_dishwasher=starts)


def run_rule(house: ControlledHouse, options: DemandOptions, rule: Rule, *, is_late: bool = False) -> HouseRun:
    """Run ``rule`` over all minutes of ``house``; ``is_late``: the dishwasher starts as late as it can."""
    run = HouseRun(house, options)
    while not run.is_over:
        observed = run.step()
        if observed is not None:
            run.allow(rule(observed), is_late=is_late)
    return run


def unlimited(_observed: Observed) -> float:
    """Allow everything: the car charges at full power from six on."""
    return math.inf


def reactive(observed: Observed) -> float:
    """Allow the power that the last reading left below the limit."""
    if observed.limit_kw is None:
        return math.inf
    return observed.limit_kw - (observed.total_kw - observed.car_kw)
