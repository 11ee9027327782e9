"""Loads that are always present: refrigeration, lights, electronics, and the base load."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast_trainer.synthetic_houses.runs import mean_power
from gapcast_trainer.synthetic_houses.surroundings import Surroundings
from gapcast_trainer.synthetic_houses.weather import drift


def refrigerator(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a refrigerator or freezer with automatic defrost.

    The compressor takes 0.09 to 0.2 kW; it runs longer when people open the door and in a warm kitchen. After 8 to 14
    hours of running a heater of 0.35 to 0.6 kW melts the frost.
    """
    compressor_kw, heater_kw = rng.uniform(0.09, 0.2), rng.uniform(0.35, 0.6)
    on_min, off_min, between_min = rng.uniform(9, 28), rng.uniform(14, 40), rng.uniform(8, 14) * 60
    heavy = 1 + 0.12 * around.people.active + 0.012 * (around.weather.outdoor_c - 22)
    now, ran, runs, defrosts = -rng.uniform(0, 30), rng.uniform(0, between_min), [], []
    while now < around.n_min:
        load = max(0.5, float(heavy[max(0, int(now))]))
        on = on_min * load * np.exp(rng.normal(0, 0.12))
        runs.append((now, now + on))
        now += on
        ran += on
        if ran > between_min:
            length = rng.uniform(12, 25)
            defrosts.append((now + 1, now + 1 + length))
            now, ran = now + length + 6, 0.0
            runs.append((now, now + 1.8 * on))
            now += 1.8 * on
        now += off_min / load * np.exp(rng.normal(0, 0.12))
    start, stop = np.array(runs).T
    power = mean_power(start, stop, compressor_kw, around.n_min)
    if defrosts:
        start, stop = np.array(defrosts).T
        power += mean_power(start, stop, heater_kw, around.n_min)
    return power


def lights_and_screens(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of lamps in the dark hours, and of televisions and computers."""
    people, n_min = around.people, around.n_min
    lamps = people.starts(rng, rng.uniform(8, 25), (6.5, 19.5, 21.5))
    power = mean_power(
        lamps, lamps + np.exp(rng.normal(3.6, 1.0, lamps.size)), rng.uniform(0.01, 0.15, lamps.size), n_min
    )
    screens = people.starts(rng, rng.uniform(1, 4), (9.0, 16.0, 20.0))
    kw = rng.uniform(0.06, 0.25, screens.size)
    return power + mean_power(screens, screens + np.exp(rng.normal(4.4, 0.7, screens.size)), kw, n_min)


def base_load(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of loads that are never off: 0.08 to 0.45 kW, varying slowly and by a few watts."""
    level = rng.uniform(0.08, 0.45)
    slow = drift(rng, around.n_min, 0.06 * level, 600) + drift(rng, around.n_min, 0.02, 10)
    return np.maximum(level + slow, 0.03)
