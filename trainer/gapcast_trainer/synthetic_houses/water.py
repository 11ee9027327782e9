"""Water: the electric heater of a tank, and the pumps of a well, a sump and a pool."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import DAY_MIN
from gapcast_trainer.synthetic_houses.runs import STEPS_PER_MIN, mean_power, per_minute
from gapcast_trainer.synthetic_houses.surroundings import Surroundings

#: Heat capacity of water, kWh per litre and kelvin.
_WATER = 0.001163
#: Litres in a US gallon.
_GALLON = 3.785


def hot_water_draws(rng: np.random.Generator, around: Surroundings) -> tuple[F64, F64, F64]:
    """Return start, stop (minutes) and flow (litres a minute) of each draw of hot water: showers and short draws."""
    people = around.people
    showers = people.starts(rng, 0.9 * people.n_people, (6.8, 21.0))
    small = people.starts(rng, 6.0 * people.n_people)
    loads = people.starts(rng, rng.uniform(0.3, 1.2), (11.0, 19.0))
    starts = np.concatenate((showers, small, loads))
    lengths = np.concatenate(
        (rng.uniform(4, 13, showers.size), rng.uniform(0.15, 1.5, small.size), rng.uniform(3, 7, loads.size))
    )
    flow = np.concatenate(
        (rng.uniform(4, 7, showers.size), rng.uniform(1.5, 5, small.size), rng.uniform(4, 8, loads.size))
    )
    return starts, starts + lengths, flow


def water_heater(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a tank of 40 to 65 gallons with elements of 4.5 (some 3.8 or 5.5) kW.

    One well-mixed volume with losses, refilled with cold water, and a thermostat with a hysteresis of 2 to 7 K.
    """
    litres, kw = rng.choice([40, 50, 65]) * _GALLON, float(rng.choice([3.8, 4.5, 4.5, 5.5]))
    starts, stops, flow = hot_water_draws(rng, around)
    drawn = mean_power(starts, stops, flow, around.n_min).repeat(STEPS_PER_MIN) / STEPS_PER_MIN  # litres a step
    hot_c, cold_c, band_k = rng.uniform(49, 60), rng.uniform(8, 20), rng.uniform(2, 7)
    heat_k = kw / (60 * STEPS_PER_MIN) / (litres * _WATER)
    loss = rng.uniform(0.0012, 0.0025) / (60 * STEPS_PER_MIN) / (litres * _WATER)
    tank_c, on, found = hot_c, False, np.zeros(drawn.size)
    for k, share in enumerate((drawn / litres).tolist()):
        tank_c -= share * (tank_c - cold_c) + loss * (tank_c - 21) - heat_k * on
        on = tank_c < hot_c if on else tank_c < hot_c - band_k
        found[k] = on
    return kw * per_minute(found)


def well_pump(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a well pump of 0.8 to 1.6 kW, which refills a pressure tank of 30 to 80 litres.

    Sprinklers run on some mornings in some houses, and make it cycle quickly.
    """
    starts, stops, flow = hot_water_draws(rng, around)
    used = mean_power(starts, stops, flow * 1.8, around.n_min)
    if rng.random() < 0.5:  # noqa: PLR2004 - half of the houses
        days = np.flatnonzero(rng.random(around.n_days) < 0.4)  # noqa: PLR2004 - share of days
        begin = days * DAY_MIN + rng.uniform(5, 8) * 60 + rng.uniform(0, 2, days.size)
        used += mean_power(begin, begin + rng.uniform(20, 70), rng.uniform(8, 18), around.n_min)
    tank, pumped = rng.uniform(30, 80), rng.uniform(25, 45)
    fills = np.flatnonzero(np.diff(np.floor(np.cumsum(used) / tank), prepend=0.0))
    begin = fills + rng.uniform(0, 1, fills.size)
    length = tank / np.maximum(pumped - used[fills], 5.0)
    return mean_power(begin, begin + length, rng.uniform(0.8, 1.6), around.n_min)


def sump_pump(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a sump pump: 15 to 40 s every ten minutes to three hours, by the weather."""
    wetness = np.repeat(around.weather.cloudiness, DAY_MIN)
    n_fills = np.floor(np.cumsum(wetness**2) / rng.uniform(8, 40))
    fills = np.flatnonzero(np.diff(n_fills, prepend=0.0)) + rng.uniform(0, 1)
    length = rng.uniform(0.25, 0.7) * np.exp(rng.normal(0, 0.08, fills.size))
    return mean_power(fills, fills + length, rng.uniform(0.45, 0.9), around.n_min)


def pool_pump(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a pool pump on a timer: one speed, or a low speed with hours at a high one."""
    day = np.arange(around.n_days) * DAY_MIN
    begin = day + rng.uniform(7, 11) * 60
    hours, high_kw = rng.uniform(6, 11), rng.uniform(1.1, 2.1)
    if rng.random() < 0.5:  # noqa: PLR2004 - half are single-speed
        return mean_power(begin, begin + hours * 60, high_kw, around.n_min)
    low = mean_power(begin, begin + hours * 60, rng.uniform(0.2, 0.5), around.n_min)
    boost = begin + rng.uniform(0, 2) * 60
    return low + mean_power(boost, boost + rng.uniform(1, 3) * 60, high_kw, around.n_min)
