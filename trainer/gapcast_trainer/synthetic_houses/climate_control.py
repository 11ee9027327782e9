"""Cooling and heating: central air conditioners, window units, heat pumps, and resistance heaters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast_trainer.synthetic_houses.runs import STEPS_PER_MIN, mean_power, per_minute, per_step, run_age_min
from gapcast_trainer.synthetic_houses.surroundings import Surroundings
from gapcast_trainer.synthetic_houses.thermostat import Control, Envelope, Stages, stages
from gapcast_trainer.synthetic_houses.weather import drift

#: Rated conditions of compressors (AHRI 210/240): cooling at 35 deg C, heating at 8 deg C outdoors.
_RATED_COOLING_C, _RATED_HEATING_C = 35.0, 8.0


@dataclass(frozen=True, slots=True)
class _Compressor:
    """Power by stage at the outdoor temperature ``rated_c``, its relative rise per kelvin, and the fan's power."""

    rated_kw: F64
    rated_c: float
    slope: float
    fan_kw: float


def central_air(rng: np.random.Generator, around: Surroundings, n_stages: int = 1) -> F64:
    """Return the power, kW ``[T]``, of a central air conditioner: compressor, outdoor fan and indoor blower.

    It removes 3 to 5 kW of heat per kW; the power rises by 1 to 2 % for each degree outdoors. With two stages the first
    has about two thirds of the capacity.
    """
    envelope = Envelope.drawn(rng)
    gains = around.gains_kw(rng)
    need_kw = envelope.to_outdoor * 13 + float(np.quantile(gains, 0.97))
    capacity_kw = float(np.clip(need_kw * rng.uniform(1.1, 1.7), 7.0, 17.5))
    shares = (1.0,) if n_stages == 1 else (rng.uniform(0.62, 0.72), 1.0)
    setpoint = _setpoint(rng, around, rng.uniform(22.5, 25.5), saving_k=rng.choice([0.0, 0.0, 1.5, 3.0]))
    control = Control(-1, tuple(capacity_kw * share for share in shares), rng.uniform(0.5, 1.2), rng.uniform(3, 6))
    ran = _stages(rng, envelope, control, around, gains, setpoint)
    blower_kw = rng.uniform(0.25, 0.55)
    efficiency = rng.uniform(3.0, 4.4)
    rated = np.array([0.0, *(capacity_kw * share / (efficiency * (1.12 if share < 1 else 1.0)) for share in shares)])
    compressor = _Compressor(rated, _RATED_COOLING_C, rng.uniform(0.01, 0.02), blower_kw)
    return _power(rng, compressor, ran, around.weather.outdoor_c)


def window_units(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of two to four window units of 0.5 to 1.4 kW, each with a thermostat.

    They are on when someone is at home, or at night only; the fan keeps running in some.
    """
    total = np.zeros(around.n_min)
    for _ in range(int(rng.integers(2, 5))):
        envelope = Envelope.drawn(rng, share=rng.uniform(0.12, 0.25))
        capacity_kw, efficiency = rng.uniform(1.6, 4.2), rng.uniform(2.7, 3.4)
        is_night_unit = rng.random() < 0.5  # noqa: PLR2004 - half of them
        hour = around.hour
        in_use = (
            (hour > rng.uniform(19, 22)) | (hour < rng.uniform(6, 8)) if is_night_unit else around.people.active > 0
        )
        setpoint = _setpoint(rng, around, rng.uniform(21.5, 25.0), 0.0) + np.where(in_use, 0.0, 9.0)
        control = Control(-1, (capacity_kw,), rng.uniform(0.7, 1.8), rng.uniform(2, 4))
        ran = _stages(rng, envelope, control, around, around.gains_kw(rng, rng.uniform(0.1, 0.25)), setpoint)
        rated = np.array([0.0, capacity_kw / efficiency])
        total += _power(rng, _Compressor(rated, _RATED_COOLING_C, 0.012, 0.0), ran, around.weather.outdoor_c)
        fan = in_use if rng.random() < 0.6 else per_minute(ran.astype(np.float64)) > 0  # noqa: PLR2004 - most
        total += rng.uniform(0.04, 0.1) * fan
    return total


def heat_pump(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of an air-source heat pump in winter with auxiliary resistance heat.

    The capacity falls with the outdoor temperature; the second stage of the thermostat adds resistance heat of 5 to
    10 kW. Below 5 deg C the outdoor coil is defrosted after every 45 to 90 minutes of running, with resistance heat.
    """
    envelope = Envelope.drawn(rng)
    capacity_kw = float(np.clip(envelope.to_outdoor * 19 * rng.uniform(0.9, 1.2), 5.0, 13.0))
    auxiliary_kw = float(rng.choice([5.0, 7.5, 9.6]))
    setpoint = _setpoint(rng, around, rng.uniform(19.0, 21.5), saving_k=rng.choice([0.0, 0.0, -1.5, -2.5]))
    control = Control(
        1,
        (capacity_kw, capacity_kw + auxiliary_kw),
        rng.uniform(0.5, 1.0),
        4.0,
        rng.uniform(45, 120),
        rng.uniform(0.8, 1.5),
    )
    ran = _stages(rng, envelope, control, around, around.gains_kw(rng, 0.7), setpoint)
    rated = np.array([0.0, 1.0, 1.0]) * capacity_kw / rng.uniform(2.6, 3.6)
    outdoor = around.weather.outdoor_c
    power = _power(rng, _Compressor(rated, _RATED_HEATING_C, -0.008, rng.uniform(0.25, 0.5)), ran, outdoor)
    power += auxiliary_kw * per_minute((ran > 1).astype(np.float64))
    return power + _defrost(rng, ran, outdoor, auxiliary_kw)


def resistance_heat(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of baseboard heaters in three to six rooms, 0.75 to 2.25 kW each."""
    total = np.zeros(around.n_min)
    for _ in range(int(rng.integers(3, 7))):
        envelope = Envelope.drawn(rng, share=rng.uniform(0.07, 0.16))
        kw = float(rng.choice([0.75, 1.0, 1.25, 1.5, 2.0, 2.25]))
        setpoint = _setpoint(rng, around, rng.uniform(17.5, 21.0), saving_k=rng.choice([0.0, -1.0, -3.0]))
        control = Control(1, (kw,), rng.uniform(0.4, 1.5), rest_min=0.5)
        ran = _stages(rng, envelope, control, around, around.gains_kw(rng, 0.12), setpoint)
        total += kw * per_minute(ran.astype(np.float64))
    return total


def dehumidifier(rng: np.random.Generator, around: Surroundings) -> F64:
    """Return the power, kW ``[T]``, of a dehumidifier: runs of 8 to 30 minutes, longer on humid days."""
    minute = np.arange(around.n_min)
    humid = 1 + 0.4 * drift(rng, around.n_min, 1.0, 2_000)
    on_min, off_min, now, starts, stops = rng.uniform(8, 30), rng.uniform(8, 35), 0.0, [], []
    while now < minute.size:
        wet = max(0.3, float(humid[int(now)]))
        on, off = on_min * wet * np.exp(rng.normal(0, 0.15)), off_min / wet * np.exp(rng.normal(0, 0.2))
        starts.append(now)
        stops.append(now + on)
        now += on + off
    return mean_power(np.array(starts), np.array(stops), rng.uniform(0.35, 0.65), minute.size)


def _setpoint(rng: np.random.Generator, around: Surroundings, level_c: float, saving_k: float) -> F64:
    """Return the setpoint, deg C ``[T]``: ``saving_k`` is added while nobody is active; people change it at times."""
    hour = around.hour
    sleeping = (hour < rng.uniform(5.5, 7)) | (hour > rng.uniform(21.5, 23.5))
    out = (around.people.active == 0) & ~sleeping
    changes = np.zeros(around.n_min)
    for at in around.people.starts(rng, rng.uniform(0.05, 0.6)):
        changes[int(at) : int(at + rng.uniform(60, 1_500))] += rng.choice([-1.0, -0.5, 0.5, 1.0])
    return np.asarray(level_c + saving_k * out + np.clip(changes, -1.5, 1.5), dtype=np.float64)


def _stages(
    rng: np.random.Generator, envelope: Envelope, control: Control, around: Surroundings, gains: F64, setpoint: F64
) -> Stages:
    drifts = drift(rng, around.n_min, rng.uniform(0.04, 0.14), rng.uniform(8, 25))
    flutter = per_step(rng.normal(0, rng.uniform(0.02, 0.08), around.n_min))
    return stages(
        envelope,
        control,
        per_step(around.weather.outdoor_c),
        per_step(gains),
        per_step(setpoint + drifts) + flutter,
    )


def _power(rng: np.random.Generator, compressor: _Compressor, ran: Stages, outdoor_c: F64) -> F64:
    """Return the power, kW ``[T]``, of a compressor that ``ran`` in these steps, and of its fan, a minute longer."""
    on = ran > 0
    settling = 1 - rng.uniform(0.03, 0.12) * np.exp(-run_age_min(on) / rng.uniform(2, 6))
    by_weather = per_step(1 + compressor.slope * (outdoor_c - compressor.rated_c))
    fan = on | np.concatenate((np.zeros(STEPS_PER_MIN, np.bool_), on[:-STEPS_PER_MIN]))
    return per_minute(compressor.rated_kw[ran] * settling * by_weather + compressor.fan_kw * fan)


def _defrost(rng: np.random.Generator, ran: Stages, outdoor_c: F64, auxiliary_kw: float) -> F64:
    """Return the power, kW ``[T]``, of resistance heat while the outdoor coil is defrosted."""
    running = per_minute((ran > 0).astype(np.float64)) * (outdoor_c < 5)  # noqa: PLR2004 - deg C, coils freeze below
    between_min = rng.uniform(45, 90)
    count = np.floor(np.cumsum(running) / between_min)
    starts = np.flatnonzero(np.diff(count, prepend=0.0)) + rng.uniform(0, 1)
    share = rng.uniform(0.5, 1.0)
    return mean_power(starts, starts + rng.uniform(2.5, 7, starts.size), share * auxiliary_kw, outdoor_c.size)
