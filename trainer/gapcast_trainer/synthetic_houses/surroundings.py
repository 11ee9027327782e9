"""The surroundings that all appliances of a synthetic house share: length, weather and people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import DAY_MIN
from gapcast_trainer.synthetic_houses.occupancy import Occupancy, occupancy
from gapcast_trainer.synthetic_houses.weather import Climate, Weather, drift, weather


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The weather and the people of a house, per minute from Monday midnight on."""

    weather: Weather
    people: Occupancy

    @classmethod
    def drawn(cls, rng: np.random.Generator, n_days: int, climate: Climate) -> Surroundings:
        """Return surroundings for ``n_days`` days."""
        return cls(weather(rng, n_days, climate), occupancy(rng, n_days))

    @property
    def n_min(self) -> int:
        """The number of minutes."""
        return self.weather.outdoor_c.size

    @property
    def n_days(self) -> int:
        """The number of days."""
        return self.n_min // DAY_MIN

    @property
    def hour(self) -> F64:
        """The hour of the day of each minute, with fractions."""
        hours: F64 = np.arange(self.n_min) % DAY_MIN / 60.0
        return hours

    def gains_kw(self, rng: np.random.Generator, share: float = 1.0) -> F64:
        """Return heat from sun through the windows, people and appliances, kW, per minute ``[T]``."""
        glass_m2 = rng.uniform(4, 9)
        inside = 0.25 + 0.25 * self.people.active + drift(rng, self.n_min, 0.25, 15)
        gains: F64 = share * (0.5 * glass_m2 * self.weather.sun_kw_m2 + np.maximum(inside, 0))
        return gains
