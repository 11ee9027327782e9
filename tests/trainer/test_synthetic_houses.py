"""Synthetic houses: the same seed gives the same house, and loads have the powers and durations of real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapcast.core.arrays.array_types import F64
from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast_trainer.cli import main
from gapcast_trainer.synthetic_houses import climate_control, kitchen_and_laundry, vehicle_and_roof, water
from gapcast_trainer.synthetic_houses.families import FAMILIES, simulate
from gapcast_trainer.synthetic_houses.runs import mean_power
from gapcast_trainer.synthetic_houses.surroundings import Surroundings
from gapcast_trainer.synthetic_houses.weather import HOT_SUMMER, WINTER, Climate

N_DAYS = 7


def around(climate: Climate = HOT_SUMMER, seed: int = 3) -> Surroundings:
    return Surroundings.drawn(np.random.default_rng(seed), N_DAYS, climate)


def runs_min(power_kw: F64, above_kw: float) -> F64:
    """Return the durations of the runs of minutes above a power."""
    edges = np.diff(np.concatenate(([0], power_kw > above_kw, [0])).astype(np.int8))
    return (np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)).astype(np.float64)


@pytest.mark.parametrize("family", FAMILIES)
def test_simulate_house_is_plausible_and_same_by_seed(family: str) -> None:
    house = simulate(family, N_DAYS, 5)
    assert house.shape == (N_DAYS * DAY_MIN,)
    assert np.isfinite(house).all()
    assert 10 > house.mean() > (-3 if family == "photovoltaic" else 0.3)
    assert 3 < house.max() < 35
    assert house.min() > (-10 if family == "photovoltaic" else 0)
    assert np.array_equal(house, simulate(family, N_DAYS, 5))
    assert not np.array_equal(house, simulate(family, N_DAYS, 6))


def test_simulate_families_of_one_seed_are_different_houses() -> None:
    air, vehicle = (simulate(family, 7, 1) for family in ("central_air", "electric_vehicle"))
    assert abs(np.corrcoef(air, vehicle)[0, 1]) < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_central_air_cycles_within_minutes_at_some_kilowatts(seed: int) -> None:
    power = climate_control.central_air(np.random.default_rng(seed), around(seed=seed))
    runs = runs_min(power, 1.0)
    assert runs.size > 10 * N_DAYS
    assert 4 < np.median(runs) < 45
    assert 1.5 < np.quantile(power[power > 1.0], 0.5) < 6.5
    assert np.std(runs) > 0.1 * runs.mean()  # no two days are alike


def test_central_air_second_stage_takes_more_power() -> None:
    one, two = (climate_control.central_air(np.random.default_rng(4), around(), n) for n in (1, 2))
    running = two[two > 0.7 * two.max()]
    assert two[two > 1.0].min() < 0.8 * running.mean()
    assert one.mean() > 0


def test_heat_pump_defrosts_and_adds_resistance_heat_in_winter() -> None:
    power = climate_control.heat_pump(np.random.default_rng(2), around(WINTER))
    short = runs_min(power, np.median(power[power > 1.0]) + 2.0)
    assert short.size > N_DAYS
    assert np.median(short) < 20


def test_water_heater_runs_longer_after_showers() -> None:
    power = water.water_heater(np.random.default_rng(2), around())
    runs = runs_min(power, 1.0)
    assert power.max() in {3.8, 4.5, 5.5}
    assert runs.max() > 1.5 * np.median(runs)
    assert 5 < np.median(runs) < 40


def test_dryer_element_cycles() -> None:
    power = kitchen_and_laundry.dryer(np.random.default_rng(1), around())
    assert 4.6 < power.max() < 12
    assert np.median(runs_min(power, 2.5)) < 10 < runs_min(power, 0.1).max()


def test_vehicle_charges_for_hours_at_a_constant_power() -> None:
    power = vehicle_and_roof.vehicle(np.random.default_rng(1), around())
    assert min(abs(power.max() / kw - 1) for kw in vehicle_and_roof.CHARGING_KW) < 0.06
    assert runs_min(power, 0.9 * power.max()).max() > 30


def test_photovoltaics_feed_in_by_day_only() -> None:
    power = vehicle_and_roof.photovoltaics(np.random.default_rng(1), around())
    by_hour = power.reshape(N_DAYS, 24, 60).mean(axis=(0, 2))
    assert power.max() == 0
    assert by_hour[[0, 1, 2, 3, 23]].max() == by_hour[[0, 1, 2, 3, 23]].min() == 0
    assert 10 <= int(np.argmin(by_hour)) <= 15


@given(
    start=hnp.arrays(np.float64, 5, elements=st.floats(0, 50)),
    length=hnp.arrays(np.float64, 5, elements=st.floats(0, 50)),
    kw=st.floats(0.1, 10),
)
def test_mean_power_keeps_the_energy(start: F64, length: F64, kw: float) -> None:
    power = mean_power(start, start + length, kw, 100)
    assert power.sum() == pytest.approx(kw * length.sum(), abs=1e-6)
    assert power.min() >= -1e-9


def test_mean_power_cuts_what_is_outside() -> None:
    power = mean_power(np.array([-3.0, 8.5]), np.array([0.5, 12.0]), 2.0, 10)
    assert power.tolist() == [1.0, *[0.0] * 7, 1.0, 2.0]


def test_synthesize_writes_a_file_in_time_order_that_is_named_synthetic(tmp_path: Path) -> None:
    path = tmp_path / "house.csv"
    words = ["synthesize", "--family", "rural_pumps", "--days", "3", "--seed", "7", "--out", str(path)]
    written = CliRunner().invoke(main, words, catch_exceptions=False)
    assert (written.exit_code, "3 simulated days of rural_pumps" in written.output) == (0, True)
    assert path.read_text().startswith("time,synthetic_power_kw\n2024-07-01T00:00Z,")
    series = read_recording(path, FileFormat(Layout("time", "synthetic_power_kw"))).series
    assert series.gap_kw.tolist() == pytest.approx(simulate("rural_pumps", 3, 7).tolist())


def test_synthesize_other_name_is_an_error_with_the_names() -> None:
    found = CliRunner().invoke(main, ["synthesize", "--family", "igloo"])
    assert (found.exit_code, "there are central_air, two_stage_air" in found.output) == (2, True)


def test_synthesize_list_shows_each_family() -> None:
    shown = CliRunner().invoke(main, ["synthesize", "--family", "list"], catch_exceptions=False).output
    assert [line.split()[0] for line in shown.splitlines()] == list(FAMILIES)
