"""Appliances that people start: ranges, ovens, dryers, washing machines, dishwashers, and small ones."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast_trainer.synthetic_houses.runs import mean_power
from gapcast_trainer.synthetic_houses.surroundings import Surroundings

#: Small appliances: power, kW, and duration, minutes, each from and to; most times a day; hours of use, if particular.
_SMALL: tuple[tuple[tuple[float, float], tuple[float, float], float, tuple[float, ...]], ...] = (
    ((1.2, 1.7), (0.7, 6), 5.0, ()),  # microwave
    ((0.8, 1.1), (4, 9), 2.0, (7.0, 14.0)),  # coffee maker
    ((0.8, 1.3), (1.5, 4), 1.5, (7.5,)),  # toaster
    ((1.1, 1.8), (3, 9), 1.2, (7.0, 21.0)),  # hair dryer
    ((0.9, 1.4), (5, 30), 0.3, ()),  # vacuum cleaner
    ((1.0, 1.6), (10, 40), 0.15, ()),  # iron, space heater
    ((0.4, 0.6), (0.3, 0.6), 1.0, (8.0, 17.5)),  # garage door
)


def _cycles(rng: np.random.Generator, start: float, total_min: float, on_min: float, off_min: float) -> tuple[F64, F64]:
    """Return starts and stops of a heater that a thermostat cycles from ``start`` on for ``total_min`` minutes."""
    n = int(total_min / (on_min + off_min) * 2) + 3
    on, off = on_min * np.exp(rng.normal(0, 0.25, n)), off_min * np.exp(rng.normal(0, 0.25, n))
    starts = start + np.concatenate(([0.0], np.cumsum(on + off)[:-1]))
    keep = starts < start + total_min
    return starts[keep], np.minimum(starts + on, start + total_min)[keep]


def _power(parts: list[tuple[F64, F64, float]], n_min: int) -> F64:
    if not parts:
        return np.zeros(n_min)
    starts, stops = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    kw = np.concatenate([np.full(part[0].size, part[2]) for part in parts])
    return mean_power(starts, stops, kw, n_min)


def dryer(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a clothes dryer: motor 0.25 kW, element 4.6 to 5.6 kW.

    The element is on while the drum heats up, then it cycles with pauses that grow as the clothes dry.
    """
    element_kw, motor_kw, parts = rng.uniform(4.6, 5.6), rng.uniform(0.2, 0.35), []
    for start in around.people.starts(rng, rng.uniform(0.3, 1.2), (11.0, 19.0)):
        first_min, cycling_min, cool_min = rng.uniform(5, 22), rng.uniform(10, 40), rng.uniform(3, 6)
        end = start + first_min + cycling_min
        parts.append((np.array([start]), np.array([end + cool_min]), motor_kw))
        parts.append((np.array([start]), np.array([start + first_min]), element_kw))
        now, off_min, on_min = start + first_min + 1.0, rng.uniform(0.8, 2.5), rng.uniform(1.0, 4.0)
        while now < end:
            on = on_min * np.exp(rng.normal(0, 0.2))
            parts.append((np.array([now]), np.array([min(now + on, end)]), element_kw))
            now += on + off_min
            off_min *= 1.15
    return _power(parts, around.n_min)


def electric_range(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of an electric range: burners of 1.2 to 2.6 kW, and an oven of 2.4 to 3.8 kW.

    A burner cycles within a minute at part of its power; the oven preheats, then cycles.
    """
    oven_kw, parts = rng.uniform(2.4, 3.8), []
    for start in around.people.starts(rng, rng.uniform(0.8, 2.2), (7.5, 12.5, 18.2)):
        for _ in range(int(rng.integers(1, 3))):
            begin, kw, long_min = start + rng.uniform(0, 12), rng.uniform(1.2, 2.6), rng.uniform(4, 35)
            boil_min = min(long_min, rng.uniform(2, 8))
            parts.append((np.array([begin]), np.array([begin + boil_min]), kw))
            on_min = rng.uniform(0.1, 0.6)
            duty = rng.uniform(0.2, 0.7)
            parts.append((*_cycles(rng, begin + boil_min, long_min - boil_min, on_min, on_min * (1 / duty - 1)), kw))
    for start in around.people.starts(rng, rng.uniform(0.2, 0.8), (12.0, 17.7)):
        preheat_min = rng.uniform(6, 13)
        parts.append((np.array([start]), np.array([start + preheat_min]), oven_kw))
        on_min, off_min = rng.uniform(0.7, 2.0), rng.uniform(1.5, 4.5)
        parts.append((*_cycles(rng, start + preheat_min + off_min, rng.uniform(10, 70), on_min, off_min), oven_kw))
    return _power(parts, around.n_min)


def dishwasher(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a dishwasher: pump, two heated washes, and heated drying in some houses."""
    heater_kw, pump_kw, dries, parts = rng.uniform(0.8, 1.2), rng.uniform(0.08, 0.2), rng.random() < 0.6, []  # noqa: PLR2004 - most
    for start in around.people.starts(rng, rng.uniform(0.3, 1.0), (13.0, 20.5)):
        total_min = rng.uniform(65, 120)
        parts.append((np.array([start]), np.array([start + total_min]), pump_kw))
        heated = start + np.array([rng.uniform(8, 14), rng.uniform(40, 52)])
        parts.append((heated, heated + rng.uniform(6, 16, 2), heater_kw))
        if dries:
            parts.append((*_cycles(rng, start + total_min, rng.uniform(15, 40), 3.0, 1.5), heater_kw))
    return _power(parts, around.n_min)


def washing_machine(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a washing machine with hot water from the tank: the motor, in bursts."""
    parts = []
    for start in around.people.starts(rng, rng.uniform(0.3, 1.2), (10.0, 18.0)):
        parts.append((*_cycles(rng, start + 4, rng.uniform(12, 18), 0.5, 0.3), rng.uniform(0.25, 0.5)))
        parts.append((*_cycles(rng, start + 26, rng.uniform(6, 14), 2.0, 1.0), rng.uniform(0.3, 0.7)))
    return _power(parts, around.n_min)


def small_appliances(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of microwave, coffee maker, toaster, hair dryer and the like."""
    total = np.zeros(around.n_min)
    for power_kw, duration_min, most_per_day, peaks_h in _SMALL:
        kw = rng.uniform(*power_kw)
        starts = around.people.starts(rng, rng.uniform(0.2, 1.0) * most_per_day, peaks_h)
        low, high = np.log(duration_min[0]), np.log(duration_min[1])
        total += mean_power(starts, starts + np.exp(rng.uniform(low, high, starts.size)), kw, around.n_min)
    return total
