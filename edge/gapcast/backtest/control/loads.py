"""The loads that are added to a house: a car that charges overnight, and a dishwasher that cannot be interrupted."""

from __future__ import annotations

from dataclasses import dataclass

from gapcast.backtest.control.controlled_house import NONE, PLUGGED_IN_MIN
from gapcast.core.time_grid import DAY_MIN

#: A single-phase charger: whole amperes between a car's minimum and the fuse, at 230 V (IEC 61851-1).
AMPERE_KW = 0.23
LEAST_A, MOST_A = 6, 32
#: Energy that the car needs each night, kWh.
NEED_KWH = 8.0
DISHWASHER_KW, DISHWASHER_MIN = 2.0, 45
#: The dishwasher must be done at ten in the evening, and starts by itself at its latest start; minute of the day.
DONE_MIN = 22 * 60
LATEST_START_MIN = DONE_MIN - DISHWASHER_MIN
_LEAST_KWH = 1e-9


def charger_kw(allowed_kw: float) -> float:
    """Return the highest power of the charger that is at most ``allowed_kw``: 0, or 1.38 to 7.36 kW.

    >>> charger_kw(1.3), charger_kw(3.0), charger_kw(99.0)
    (0.0, 2.99, 7.36)
    """
    ampere = int(min(max(allowed_kw / AMPERE_KW + _LEAST_KWH, 0.0), MOST_A))
    return round(ampere * AMPERE_KW, 3) if ampere >= LEAST_A else 0.0


@dataclass(slots=True)
class LoadResult:
    """Statistics of the loads: energy that the car lacked in the morning, and the delay of the dishwasher.

    ``n_short`` counts mornings on which the car lacked more than a tenth of its need.
    """

    n_evenings: int = 0
    missing_kwh: float = 0.0
    n_short: int = 0
    delay_min: int = 0
    n_starts: int = 0


class Loads:
    """The car and the dishwasher of a house, minute by minute.

    Between two minutes :meth:`command` sets the power that the car may draw from the next minute on, and whether a
    waiting dishwasher starts with it.
    """

    def __init__(self) -> None:
        self.result = LoadResult()
        #: The power that the car draws from the next minute on, if it is plugged in and needs it, kW.
        self.setpoint_kw = 0.0
        #: Remaining minutes of the running dishwasher.
        self.dishwasher_left_min = 0
        self.is_waiting = False
        self.need_kwh = 0.0
        self._evening = NONE
        self._is_commanded = False
        self._was_charging = False

    @property
    def is_plugged_in(self) -> bool:
        """Whether the car is plugged in and needs energy."""
        return self._evening != NONE and self.need_kwh > _LEAST_KWH

    def draw(self, evening: int, local: int) -> tuple[float, float]:
        """Return the power of car and dishwasher in the next minute, which is ``local`` by the clock, kW."""
        of_day = local % DAY_MIN
        if evening != self._evening:
            self._begin(evening)
        if self.is_waiting and (self._is_commanded or of_day >= LATEST_START_MIN):
            self.is_waiting, self.dishwasher_left_min = False, DISHWASHER_MIN
            self.result.delay_min += max(of_day - PLUGGED_IN_MIN, 0)
        self._is_commanded = False
        dishwasher_kw = DISHWASHER_KW if self.dishwasher_left_min else 0.0
        self.dishwasher_left_min = max(self.dishwasher_left_min - 1, 0)
        car_kw = min(self.setpoint_kw, self.need_kwh * 60) if self.is_plugged_in else 0.0
        self.need_kwh -= car_kw / 60
        self.result.n_starts += car_kw > 0 and not self._was_charging
        self._was_charging = car_kw > 0
        return car_kw, dishwasher_kw

    def command(self, car_kw: float, *, starts_dishwasher: bool) -> None:
        """Allow the car ``car_kw``; start the dishwasher if it waits, or becomes ready in the next minute."""
        self.setpoint_kw = charger_kw(car_kw)
        self._is_commanded = starts_dishwasher

    def finish(self) -> LoadResult:
        """Return the result, after the last minute."""
        self._begin(NONE)
        return self.result

    def _begin(self, evening: int) -> None:
        """Begin ``evening``, and add the results of the previous one."""
        if self._evening != NONE:
            missing_kwh = max(self.need_kwh, 0.0)
            self.result.n_evenings += 1
            self.result.missing_kwh += missing_kwh
            self.result.n_short += missing_kwh > NEED_KWH / 10
        self._evening = evening
        self.need_kwh = NEED_KWH if evening != NONE else 0.0
        self.is_waiting = evening != NONE
        self._was_charging = False
