"""Weather of a synthetic house: outdoor temperature and sunshine.

The temperature is a daily sine with its maximum in the afternoon, on a level that follows a first-order autoregressive
process from day to day; the daily range is smaller on cloudy days. Sunshine is a clear sky's irradiance (sine of the
sun's elevation) times the transmission of clouds, which pass within minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import DAY_MIN

_HOUR_MIN = 60
_WARMEST_H, _NOON_H = 16.0, 13.0
#: Transmission of a cloud.
_THROUGH_CLOUD = (0.15, 0.5)


@dataclass(frozen=True, slots=True)
class Climate:
    """A season: mean temperature, mean daily range and spread of the daily level, deg C, and hours of daylight."""

    mean_c: float
    range_c: float = 11.0
    spread_c: float = 3.5
    daylight_h: float = 14.5


HOT_SUMMER = Climate(30.0, 11.0, 2.5)
SUMMER = Climate(26.0)
SHOULDER = Climate(21.0, 13.0, 4.5, 12.5)
WINTER = Climate(1.0, 9.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Weather:
    """Outdoor temperature, deg C, and global irradiance, kW/m2, per minute ``[T]``; cloudiness (0 to 1) by day."""

    outdoor_c: F64
    sun_kw_m2: F64
    cloudiness: F64


def drift(rng: np.random.Generator, n_min: int, spread: float, memory_min: float) -> F64:
    """Return a first-order autoregressive process ``[n_min]`` around 0 with this standard deviation.

    Its correlation falls to 1/e within ``memory_min`` minutes.
    """
    step_min = max(1, int(memory_min // 8))
    n = n_min // step_min + 2
    keep = float(np.exp(-step_min / memory_min))
    shocks = rng.normal(0, spread * np.sqrt(1 - keep**2), n)
    value, values = rng.normal(0, spread), np.empty(n)
    for k in range(n):
        value = keep * value + shocks[k]
        values[k] = value
    smooth: F64 = np.interp(np.arange(n_min), np.arange(n) * step_min, values)
    return smooth


def weather(rng: np.random.Generator, n_days: int, climate: Climate) -> Weather:
    """Return the weather of ``n_days`` days from midnight on."""
    n_min = n_days * DAY_MIN
    minute = np.arange(n_min)
    hour = minute % DAY_MIN / _HOUR_MIN
    mood = drift(rng, n_min, 1.0, 1.5 * DAY_MIN)[::DAY_MIN]
    cloudiness = 1 / (1 + np.exp(-1.5 * mood + rng.normal(0.3, 0.5)))
    of_day = np.repeat(cloudiness, DAY_MIN)
    range_c = climate.range_c * (1.25 - 0.6 * of_day)
    trend_c = rng.normal(0, 3) * (minute / n_min - 0.5) * 2
    level_c = climate.mean_c + rng.normal(0, 1.5) + trend_c + drift(rng, n_min, climate.spread_c, 3 * DAY_MIN)
    daily_c = range_c / 2 * np.cos((hour - _WARMEST_H) * 2 * np.pi / 24)
    outdoor_c = level_c + daily_c + drift(rng, n_min, 0.5, 40)
    elevation = np.cos((hour - _NOON_H) / climate.daylight_h * np.pi)
    is_day = np.abs(hour - _NOON_H) < climate.daylight_h / 2
    clear = np.where(is_day, np.maximum(elevation, 0) ** 1.2, 0.0)
    return Weather(outdoor_c, clear * _transmission(rng, of_day), cloudiness)


def _transmission(rng: np.random.Generator, cloudiness: F64) -> F64:
    """Return the share of clear-sky irradiance ``[T]``: spells of sun and shade of minutes, smoothed at their edges."""
    n_min = cloudiness.size
    level = drift(rng, n_min, 1.0, 12) + 0.7 * drift(rng, n_min, 1.0, 90)
    shade = 1 / (1 + np.exp(-6 * (level + 2.4 * (cloudiness - 0.5))))
    depth = 1 - rng.uniform(*_THROUGH_CLOUD, size=cloudiness.size // DAY_MIN).repeat(DAY_MIN)
    through: F64 = 1 - depth * shade
    return through
