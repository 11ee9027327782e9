"""The median follows the more likely of two modes, unlike the mean, and a single outcome changes it little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.ensemble import median_calibration
from gapcast.core.learning.ensemble.median_calibration import N_KNOTS
from tests.support.houses import EngineRun

#: Changes and scales of any size and sign, and predictions of damaged state.
CHANGES = arrays.arrays(np.float64, 7, elements=st.floats(width=64))


def new_states(n: int) -> F32:
    return np.repeat(median_calibration.initial_state()[np.newaxis], n, axis=0)


def one(value: float) -> F64:
    return np.array([value])


@given(CHANGES)
def test_offsets_of_a_new_device_are_zero(change: F64) -> None:
    assert not median_calibration.offsets(new_states(7), change).any()


@given(CHANGES, CHANGES)
def test_offsets_after_any_outcome_are_finite_and_at_most_a_step(change: F64, error: F64) -> None:
    states = new_states(7)
    median_calibration.update(states, change, error, 5)
    largest = np.clip(np.nan_to_num(np.abs(change), nan=0.0), 0.25, 64.0) / 100**0.75
    assert (np.abs(median_calibration.offsets(states, change)) <= largest * (1 + 1e-6)).all()
    assert states[:, 1].sum(-1) == pytest.approx(np.ones(7)), "an outcome counts once"


def test_offsets_between_knots_are_interpolated_in_the_logarithm() -> None:
    states = new_states(3)
    states[:, 0] = np.arange(N_KNOTS) - N_KNOTS // 2  # an offset is its knot's number: none in the middle
    changes = np.array([0.25 * 2, 0.25 * 2**0.25, -64.0])
    assert median_calibration.offsets(states, changes) == pytest.approx(np.array([2.0, 0.5, -16.0]))
    assert median_calibration.offsets(states, np.array([0.1, -0.25, np.nan])) == pytest.approx(np.zeros(3))
    assert median_calibration.offsets(states, np.array([1e6, -np.inf, 64.0])) == pytest.approx(np.array([16, -16, 16]))


def test_outcome_moves_only_the_offsets_beside_its_prediction() -> None:
    states = new_states(1)
    median_calibration.update(states, one(1.5), one(-0.2), 5)
    assert median_calibration.offsets(states, one(1.5))[0] < 0
    for other in (-1.5, 0.0, 0.9, 3.0):
        assert median_calibration.offsets(states, one(other))[0] == 0


def test_outcome_half_an_hour_ahead_moves_a_sixth() -> None:
    near, far = new_states(1), new_states(1)
    median_calibration.update(near, one(1.5), one(1.0), 5)
    median_calibration.update(far, one(1.5), one(1.0), 30)
    assert median_calibration.offsets(far, one(1.5)) == pytest.approx(median_calibration.offsets(near, one(1.5)) / 6)


def test_outcome_at_the_median_moves_nothing() -> None:
    states = new_states(1)
    median_calibration.update(states, one(-3.0), one(0.0), 5)
    assert not states[:, 0].any()


@pytest.mark.parametrize(("probability", "expected"), [(0.3, 0.0), (0.7, -8.0)])
def test_median_of_two_modes_is_the_more_likely_one(probability: float, expected: float) -> None:
    """A load of eight scales is switched off with some probability; the model's median is the mean."""
    draw, states, mean = np.random.default_rng(1), new_states(1), one(-8.0 * probability)
    for _ in range(4_000):
        outcome = -8.0 if draw.random() < probability else 0.0
        median = mean + median_calibration.offsets(states, mean)
        median_calibration.update(states, mean, outcome - median, 5)
    assert mean + median_calibration.offsets(states, mean) == pytest.approx(one(expected), abs=0.4)


@pytest.mark.long
def test_ensemble_median_of_a_compressor_is_better_than_each_member(compressor: EngineRun) -> None:
    """On for 14 to 16 minutes, off for 20 to 24: no member's median jumps when a switch becomes likely."""
    actual_kw = compressor.outcome("actual_kw")[-3_000:]
    median_kw, members_kw = compressor.outcome("published_kw")[-3_000:, 1], compressor.outcome("members_kw")[-3_000:, 1]
    errors_kw = np.abs(members_kw - actual_kw[:, np.newaxis]).mean(0)
    assert np.abs(median_kw - actual_kw).mean() < 0.95 * errors_kw.min(), errors_kw
