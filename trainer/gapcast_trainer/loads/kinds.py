"""Kinds of simulated loads, and the library of loads from which training draws.

No kind models a particular appliance: power, durations and regularity are drawn widely, so that a model learns to read
them off the window. Some kinds have no memory, so that it also learns where nothing announces the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from zlib import crc32

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.time_grid import DAY_MIN
from gapcast_trainer.loads.processes import between, happens, renewal, sessions, thermostat, wander, with_noise

#: Length of each load of a library: two weeks.
N_MIN = 20_160
_DEFROST_MIN = 4

#: Draws a load of a kind and its course, kW ``[n_min]``.
Kind = Callable[[np.random.Generator, int], F64]


def _thermostat(kw: tuple[float, float], shortest_min: tuple[float, float], rng: np.random.Generator, n: int) -> F64:
    return with_noise(rng, thermostat(rng, n, between(rng, *kw), shortest_min))


def _two_stages(rng: np.random.Generator, n: int) -> F64:
    first = thermostat(rng, n, between(rng, 1, 3), (3, 15))
    second = thermostat(rng, n, between(rng, 0.5, 2.5), (3, 20))
    return with_noise(rng, first + second * (first > 0))


def _heat_pump(rng: np.random.Generator, n: int) -> F64:
    power = thermostat(rng, n, between(rng, 0.8, 5), (4, 25))
    if happens(rng, 0.6):  # resistance heat beside it
        auxiliary = renewal(rng, n, between(rng, 3, 10), between(rng, 5, 20), between(rng, 200, 1500), on_shape=3)
        power = power + auxiliary * (power > 0)
    if happens(rng, 0.4):  # defrosting
        power = power * (1 - 0.7 * (np.arange(n) % int(rng.integers(45, 100)) < _DEFROST_MIN))
    return with_noise(rng, power)


def _inverter(rng: np.random.Generator, n: int) -> F64:
    power = np.maximum(between(rng, 0.4, 3) * (0.6 + 0.5 * wander(rng, n, between(rng, 10, 120))), 0)
    return with_noise(rng, power if happens(rng, 0.5) else power * (thermostat(rng, n, 1.0, (6, 40)) > 0))


def _renewal(regular: tuple[float, float], rng: np.random.Generator, n: int) -> F64:
    kw, on_min, off_min = between(rng, 0.1, 6), between(rng, 0.7, 60), between(rng, 3, 300)
    shapes = between(rng, *regular), between(rng, *regular)
    return with_noise(rng, renewal(rng, n, kw, on_min, off_min, on_shape=shapes[0], off_shape=shapes[1]))


def _charger(rng: np.random.Generator, n: int) -> F64:
    kw = float(rng.choice([1.4, 1.9, 3.3, 3.7, 6.6, 7.2, 7.7, 9.6, 11.0]))
    shapes = between(rng, 1, 30), between(rng, 1, 5)
    power = renewal(rng, n, kw, between(rng, 30, 300), between(rng, 300, 1500), on_shape=shapes[0], off_shape=shapes[1])
    return power * (1 + 0.003 * rng.normal(size=n))


def _water_heater(rng: np.random.Generator, n: int) -> F64:
    kw = float(rng.choice([1.5, 2.0, 3.0, 3.8, 4.5, 5.5]))
    shapes = between(rng, 1, 30), between(rng, 1, 8)
    on_min, off_min = between(rng, 2, 25), between(rng, 60, 500)
    return with_noise(rng, renewal(rng, n, kw, on_min, off_min, on_shape=shapes[0], off_shape=shapes[1]))


def _dryer(rng: np.random.Generator, n: int) -> F64:
    cycle_min = between(rng, 1.5, 10), between(rng, 0.5, 5)
    return with_noise(
        rng, sessions(rng, n, between(rng, 1.8, 6), cycle_min, between(rng, 30, 80), between(rng, 400, 3000))
    )


def _cooking(rng: np.random.Generator, n: int) -> F64:
    cycle_min = between(rng, 0.15, 3), between(rng, 0.15, 4)
    return with_noise(
        rng, sessions(rng, n, between(rng, 0.5, 3), cycle_min, between(rng, 8, 70), between(rng, 150, 1000))
    )


def _baseboards(rng: np.random.Generator, n: int) -> F64:
    total = np.zeros(n)
    for _ in range(int(rng.integers(1, 5))):
        cycle_min = between(rng, 1, 8), between(rng, 1, 15)
        total += sessions(rng, n, between(rng, 0.5, 2), cycle_min, between(rng, 100, 800), between(rng, 100, 800))
    return with_noise(rng, total)


def _short_use(rng: np.random.Generator, n: int) -> F64:
    return with_noise(
        rng, renewal(rng, n, between(rng, 0.6, 3), between(rng, 0.6, 5), between(rng, 30, 600), on_shape=4)
    )


def _wandering(rng: np.random.Generator, n: int) -> F64:
    course = between(rng, 0.05, 1) * (rng.uniform(0.5, 2) + wander(rng, n, between(rng, 2, 300)))
    return np.maximum(course, 0.0)


def _solar(rng: np.random.Generator, n: int) -> F64:
    """Return generation, which is negative: a clear day's sine, and clouds."""
    day_min = rng.uniform(600, 850)
    minute = (np.arange(n) + rng.integers(DAY_MIN)) % DAY_MIN
    clear = np.where(minute < day_min, np.sin(np.pi * minute / day_min), 0.0)
    sky = wander(rng, n, between(rng, 3, 60)) + 0.7 * wander(rng, n, 300) + rng.uniform(-1, 2)
    return -between(rng, 1, 8) * clear * (0.15 + 0.85 / (1 + np.exp(-2 * sky)))


def _scheduled(rng: np.random.Generator, n: int) -> F64:
    """Return a load at the same minutes of each day."""
    minute = (np.arange(n) - rng.integers(DAY_MIN)) % DAY_MIN
    is_on = (minute < rng.integers(60, 600)).astype(np.float64)
    return with_noise(rng, between(rng, 0.5, 2) * is_on)


#: Kinds of loads by name, with their number in a library relative to the others.
KINDS: dict[str, tuple[int, Kind]] = {
    "small_compressor": (2, partial(_thermostat, (0.06, 0.3), (5, 25))),
    "air_conditioner": (4, partial(_thermostat, (0.7, 6), (2, 15))),
    "two_stages": (2, _two_stages),
    "heat_pump": (3, _heat_pump),
    "inverter": (1, _inverter),
    "renewal": (3, partial(_renewal, (0.7, 60))),
    "memoryless": (3, partial(_renewal, (1, 1.01))),
    "charger": (3, _charger),
    "water_heater": (2, _water_heater),
    "dryer": (1, _dryer),
    "cooking": (1, _cooking),
    "baseboards": (1, _baseboards),
    "short_use": (1, _short_use),
    "wandering": (1, _wandering),
    "solar": (1, _solar),
    "scheduled": (1, _scheduled),
}


def library(n_each: int, seed: int, *, left_out: tuple[str, ...] = ()) -> F32:
    """Return loads, kW ``[L, N_MIN]``: for each of :data:`KINDS` not ``left_out``, ``n_each`` times its number.

    The same arguments give the same loads.
    """
    loads = [
        kind(np.random.default_rng((seed, crc32(name.encode()), place)), N_MIN)
        for name, (number, kind) in KINDS.items()
        if name not in left_out
        for place in range(n_each * number)
    ]
    return np.array(loads, dtype=np.float32)
