"""Families of synthetic houses, by name: the appliances of a house, and the season."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from zlib import crc32

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast_trainer.synthetic_houses import background, climate_control, kitchen_and_laundry, vehicle_and_roof, water
from gapcast_trainer.synthetic_houses.surroundings import Surroundings
from gapcast_trainer.synthetic_houses.weather import HOT_SUMMER, SHOULDER, SUMMER, WINTER, Climate, drift

#: The power, kW ``[T]``, of an appliance.
Appliance = Callable[[np.random.Generator, Surroundings], F64]


@dataclass(frozen=True, slots=True)
class HouseFamily:
    """A kind of house: one of ``climates``, the appliances ``always``, and appliances ``often``, with a probability."""

    about: str
    climates: tuple[Climate, ...]
    always: tuple[Appliance, ...]
    often: tuple[tuple[float, Appliance], ...] = ()


_EVERYWHERE: tuple[Appliance, ...] = (
    background.base_load,
    background.lights_and_screens,
    background.refrigerator,
    kitchen_and_laundry.small_appliances,
    kitchen_and_laundry.washing_machine,
)
_COMMON: tuple[tuple[float, Appliance], ...] = (
    (0.5, background.refrigerator),
    (0.75, kitchen_and_laundry.dryer),
    (0.65, kitchen_and_laundry.electric_range),
    (0.7, kitchen_and_laundry.dishwasher),
)
_two_stage = partial(climate_control.central_air, n_stages=2)
_SUMMERS, _WINTERS = (HOT_SUMMER, SUMMER, SHOULDER), (WINTER, WINTER, Climate(8.0, 11.0, 4.5, 11.5))

FAMILIES = {
    "central_air": HouseFamily(
        "central air conditioning of one stage", _SUMMERS, (climate_control.central_air,), ((0.3, water.water_heater),)
    ),
    "two_stage_air": HouseFamily(
        "central air conditioning of two stages, pool pump",
        _SUMMERS,
        (_two_stage, water.pool_pump),
        ((0.5, water.water_heater),),
    ),
    "window_units": HouseFamily(
        "window air conditioners and a dehumidifier",
        _SUMMERS,
        (climate_control.window_units,),
        ((0.6, climate_control.dehumidifier), (0.5, water.water_heater)),
    ),
    "heat_pump": HouseFamily(
        "heat pump with auxiliary resistance heat, electric water heater",
        _WINTERS,
        (climate_control.heat_pump, water.water_heater),
    ),
    "resistance_heat": HouseFamily(
        "baseboard heaters and electric water heater", _WINTERS, (climate_control.resistance_heat, water.water_heater)
    ),
    "electric_vehicle": HouseFamily(
        "central air conditioning and an electric vehicle",
        (HOT_SUMMER, SUMMER),
        (vehicle_and_roof.vehicle, climate_control.central_air),
        ((0.4, water.water_heater),),
    ),
    "photovoltaic": HouseFamily(
        "central air conditioning and photovoltaics: the power can be negative",
        (HOT_SUMMER, SUMMER),
        (vehicle_and_roof.photovoltaics, climate_control.central_air),
        ((0.3, vehicle_and_roof.vehicle), (0.3, water.water_heater)),
    ),
    "rural_pumps": HouseFamily(
        "well pump, sump pump, dehumidifier, freezer and electric water heater",
        (SHOULDER, SUMMER),
        (water.well_pump, water.sump_pump, climate_control.dehumidifier, background.refrigerator, water.water_heater),
        ((0.5, climate_control.window_units),),
    ),
}


def simulate(name: str, n_days: int, seed: int) -> F64:
    """Return the per-minute mean power, kW, of a house of the family ``name``: ``[n_days * 1440]`` from a Monday on.

    The same family, number of days and seed give the same house; another number of days gives another house.
    """
    family = FAMILIES[name]
    house = np.random.default_rng((seed, crc32(name.encode())))
    around = Surroundings.drawn(house, n_days, family.climates[int(house.integers(len(family.climates)))])
    chosen = [*_EVERYWHERE, *family.always]
    chosen += [appliance for chance, appliance in (*_COMMON, *family.often) if house.random() < chance]
    total = np.zeros(around.n_min)
    for appliance, rng in zip(chosen, house.spawn(len(chosen)), strict=True):
        total += appliance(rng, around)
    return _measured(house, total)


def _measured(rng: np.random.Generator, power_kw: F64) -> F64:
    """Return the reading of a meter, kW, in steps of a watt: voltage changes it by a percent, noise by some watts."""
    voltage = 1 + drift(rng, power_kw.size, 0.006, 45) + rng.normal(0, 0.002, power_kw.size)
    read: F64 = np.round(power_kw * voltage + rng.normal(0, rng.uniform(0.002, 0.008), power_kw.size), 3)
    return read
