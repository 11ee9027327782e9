"""Charging of an electric vehicle, and photovoltaics."""

from __future__ import annotations

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import DAY_MIN
from gapcast_trainer.synthetic_houses.runs import mean_power
from gapcast_trainer.synthetic_houses.surroundings import Surroundings
from gapcast_trainer.synthetic_houses.weather import drift

#: Charging powers of cars at home, kW: 16, 32 and 48 A at 240 V, with losses.
CHARGING_KW = (3.3, 7.2, 11.5)


def vehicle(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a car that is charged on return, or by a timer at night, on most days.

    It charges 3 to 30 kWh at :data:`CHARGING_KW`; in the last minutes the power falls in steps.
    """
    kw = float(rng.choice(CHARGING_KW)) * rng.uniform(0.95, 1.0)
    timer_min = float(rng.choice([np.nan, np.nan, 22.0, 24.0, 25.0])) * 60
    need_kwh, per_week = rng.uniform(6, 14), rng.uniform(3, 7)
    total = np.zeros(around.n_min)
    for day in range(around.n_days):
        if np.isnan(around.people.return_min[day]) or rng.random() > per_week / 7:
            continue
        arrival = around.people.return_min[day] + rng.uniform(1, 40)
        start = day * DAY_MIN + (arrival if np.isnan(timer_min) else max(arrival, timer_min)) + rng.uniform(0, 1)
        hours = float(np.clip(need_kwh * np.exp(rng.normal(0, 0.5)), 3, 30)) / kw
        stop = start + hours * 60
        total += mean_power(np.array([start]), np.array([stop]), kw, around.n_min)
        tail = stop + np.array([0.0, 3.0, 7.0])
        total += mean_power(
            tail, tail + np.array([3.0, 4.0, rng.uniform(1, 20)]), kw * np.array([0.6, 0.35, 0.15]), around.n_min
        )
    return total


def photovoltaics(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a roof of 3 to 9 kW, limited by its inverter; negative, as it is exported."""
    rated_kw = rng.uniform(3, 9)
    shading = 1 - rng.uniform(0, 0.15) * (np.sin(around.hour * 2.1) > 0.6)  # noqa: PLR2004 - trees and chimneys
    flicker = 1 + drift(rng, around.n_min, 0.015, 6)
    warm = 1 - 0.004 * np.maximum(around.weather.outdoor_c + 25 * around.weather.sun_kw_m2 - 25, 0)
    power = rated_kw * 0.86 * around.weather.sun_kw_m2 * shading * flicker * warm
    return -np.minimum(power, rated_kw * rng.uniform(0.78, 1.0))
