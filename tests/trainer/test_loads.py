"""Simulated loads: exact minute means, and a library that is the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast_trainer.loads.kinds import KINDS, N_MIN, library
from gapcast_trainer.loads.processes import minute_means, renewal, sessions, thermostat, wander


def test_minute_means_keep_the_energy_of_short_steps() -> None:
    """On from 0.5 to 2.25 min at 2 kW: half a minute, a minute, a quarter."""
    found = minute_means(np.array([0.5, 1.75, 0.75]), np.array([0.0, 2.0, 0.0]), 3)
    np.testing.assert_allclose(found, [1.0, 2.0, 0.5])


def test_thermostat_switches_between_off_and_its_power() -> None:
    power = thermostat(np.random.default_rng(1), 2_880, 3.0, (5, 6))
    assert 0 <= power.min() < 0.5
    assert 3.0 <= power.max() <= 4.0


@pytest.mark.parametrize(("shape", "spread"), [(1.0, 1.0), (60.0, 0.13)])
def test_renewal_shape_sets_how_regular_periods_are(shape: float, spread: float) -> None:
    """The standard deviation of on times, relative to their mean, is 1 without memory, and small for a clock."""
    power = renewal(np.random.default_rng(4), 200_000, 1.0, 40.0, 40.0, on_shape=shape, off_shape=shape)
    steps = np.flatnonzero(np.diff(power > power.max() * 0.02, prepend=False, append=False))
    on_min = (steps[1::2] - steps[::2])[:-1]
    assert on_min.std() / on_min.mean() == pytest.approx(spread, rel=0.2)


def test_sessions_rest_between_cycles() -> None:
    power = sessions(np.random.default_rng(2), 20_000, 2.0, (2.0, 2.0), 60.0, 600.0)
    assert 0.5 < (power == 0).mean() < 1


def test_wander_forgets_in_its_memory() -> None:
    course = wander(np.random.default_rng(3), 100_000, 10.0)
    assert course.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(course[10:], course[:-10])[0, 1] == pytest.approx(np.exp(-1), abs=0.1)


def test_library_is_reproducible_and_finite() -> None:
    loads = library(1, 5)
    assert loads.shape == (sum(number for number, _ in KINDS.values()), N_MIN)
    assert np.isfinite(loads).all()
    np.testing.assert_array_equal(loads, library(1, 5))
    assert (loads != library(1, 6)).any(axis=1).all()


def test_library_left_out_kind_changes_no_other() -> None:
    whole, less = library(1, 5), library(1, 5, left_out=("small_compressor",))
    np.testing.assert_array_equal(less, whole[2:])


def test_library_generation_is_the_only_negative_load() -> None:
    for name in KINDS:
        least = library(2, 1, left_out=tuple(KINDS.keys() - {name})).min()
        assert (least < 0) == (name == "solar"), name
