"""A room or house whose temperature a thermostat holds between two limits.

Two heat capacities: the air, and the mass of the building (Bacher and Madsen 2011, Identifying suitable models for the
heat dynamics of buildings, Energy and Buildings 43). The thermostat switches with hysteresis (Ihara and Schweppe 1981,
Physically based modeling of cold load pickup), reads a sensor that lags and drifts, and keeps a compressor off for some
minutes after a run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64
from gapcast_trainer.synthetic_houses.runs import STEPS_PER_MIN

Stages = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A heated or cooled space: conductances, kW/K, and heat capacities, kWh/K."""

    to_outdoor: float
    to_mass: float
    air: float
    mass: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, share: float = 1.0) -> Envelope:
        """Return a space of ``share`` of an American house of 130 to 260 m2."""
        size = share * rng.uniform(0.7, 1.4)
        return cls(
            to_outdoor=0.25 * size * rng.uniform(0.7, 1.3),
            to_mass=1.2 * size * rng.uniform(0.7, 1.3),
            air=0.65 * size * rng.uniform(0.7, 1.4),
            mass=9.0 * size * rng.uniform(0.7, 1.5),
        )


@dataclass(frozen=True, slots=True)
class Control:
    """A thermostat: ``sign`` -1 cools, 1 heats; hysteresis ``band_k``; time a compressor stays off, minutes.

    With ``capacities_kw`` of two stages the second one is added when the first has run ``patience_min`` without
    reaching the limit, or the temperature is off by ``second_k`` more.
    """

    sign: int
    capacities_kw: tuple[float, ...]
    band_k: float = 0.8
    rest_min: float = 4.0
    patience_min: float = 15.0
    second_k: float = 0.9


def stages(envelope: Envelope, control: Control, outdoor_c: F64, gains_kw: F64, setpoint_c: F64) -> Stages:
    """Return the number of running stages in each time step ``[N]``, from 0 to the number of capacities.

    ``outdoor_c``, ``gains_kw`` (sun, people and appliances, to the air) and ``setpoint_c`` are per time step ``[N]``;
    the last includes the drift of the sensor.
    """
    hours = 1 / (60 * STEPS_PER_MIN)
    rest, patience = (int(minutes * STEPS_PER_MIN) for minutes in (control.rest_min, control.patience_min))
    sensor_share = 1 / (2.0 * STEPS_PER_MIN)  # it follows the air within two minutes
    sign, band, n_stages = control.sign, control.band_k / 2, len(control.capacities_kw)
    heat = [0.0, *(sign * kw for kw in control.capacities_kw)]
    air_c = sensed_c = float(setpoint_c[0])
    mass_c = air_c - sign * 0.5
    stage, age = 0, rest
    found = np.zeros(outdoor_c.size, dtype=np.int8)
    steps = zip(outdoor_c.tolist(), gains_kw.tolist(), setpoint_c.tolist(), strict=True)
    for k, (outdoor, gain, setpoint) in enumerate(steps):
        to_mass = envelope.to_mass * (mass_c - air_c)
        air_c += hours / envelope.air * (envelope.to_outdoor * (outdoor - air_c) + to_mass + gain + heat[stage])
        mass_c -= hours / envelope.mass * to_mass
        sensed_c += sensor_share * (air_c - sensed_c)
        missing = sign * (setpoint - sensed_c)
        age += 1
        if stage:
            if missing < -band:
                stage, age = 0, 0
            elif stage < n_stages and (age > patience or missing > band + control.second_k):
                stage += 1
        elif missing > band and age > rest:
            stage, age = 1, 0
        found[k] = stage
    return found
