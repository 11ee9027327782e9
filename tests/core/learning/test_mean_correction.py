"""The mean is corrected by its remaining errors in similar situations, and a single outcome changes it little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.ensemble import mean_correction
from gapcast.core.learning.ensemble.mean_correction import N_KNOTS
from gapcast.core.learning.ensemble.situations import N_LEVELS
from tests.support.houses import EngineRun

#: Changes and scales of any size and sign, and predictions of damaged state; and levels, which are from 0 to 3.
CHANGES = arrays.arrays(np.float64, 5, elements=st.floats(width=64))
LEVELS = arrays.arrays(np.float64, (5, 3), elements=st.floats(0, N_LEVELS - 1) | st.floats(width=64))


def new_states(n: int) -> F32:
    return np.repeat(mean_correction.initial_state()[np.newaxis], n, axis=0)


def one(value: float) -> F64:
    return np.array([value])


def level(activity: float, rise: float) -> F64:
    return np.array([[activity, rise, 0.0]])


@given(CHANGES, LEVELS)
def test_offsets_of_a_new_device_are_zero(change: F64, levels: F64) -> None:
    assert not mean_correction.offsets(new_states(5), change, levels).any()


@given(CHANGES, LEVELS, CHANGES)
def test_offsets_after_any_outcome_are_finite_and_at_most_a_step(change: F64, levels: F64, error: F64) -> None:
    states = new_states(5)
    mean_correction.update(states, change, levels, error, 5)
    largest = np.clip(np.nan_to_num(np.abs(error), nan=0.0), 0.0, 25.0) / 200
    assert (np.abs(mean_correction.offsets(states, change, levels)) <= largest * (1 + 1e-6) + 1e-40).all(), (
        "but for denormal numbers"
    )
    assert states[:, 1].sum((-3, -2, -1)) == pytest.approx(np.ones(5)), "an outcome counts once"


def test_offsets_between_entries_are_interpolated() -> None:
    states = new_states(1)
    knots, rises, activities = np.ogrid[-8:9, 0:N_LEVELS, 0:N_LEVELS]
    states[0, 0] = knots + 100 * rises + 10_000 * activities
    for change, activity, rise in ((0.25 * 2**3, 0.0, 0.0), (-0.25 * 2**2.5, 1.25, 2.75), (1e6, 3.0, 3.0)):
        knot = np.sign(change) * min(np.log2(abs(change) / 0.25), 8)
        expected = knot + 100 * rise + 10_000 * activity
        assert mean_correction.offsets(states, one(change), level(activity, rise))[0] == pytest.approx(expected)
    for change in (0.1, -0.25, np.nan):
        assert mean_correction.offsets(states, one(change), level(np.nan, 0.0))[0] == 0


def test_outcome_moves_only_the_entries_around_its_forecast() -> None:
    states = new_states(1)
    mean_correction.update(states, one(1.5), level(1.0, 2.0), one(-3.0), 5)
    assert mean_correction.offsets(states, one(1.5), level(1.0, 2.0))[0] < 0
    for change, activity, rise in (
        (-1.5, 1.0, 2.0),
        (0.5, 1.0, 2.0),
        (4.0, 1.0, 2.0),
        (1.5, 0.0, 2.0),
        (1.5, 1.0, 3.0),
    ):
        assert mean_correction.offsets(states, one(change), level(activity, rise))[0] == 0
    assert np.count_nonzero(states[0, 0]) == 2, "the forecast is between two knots, at one level each"
    assert states.shape == (1, 2, N_KNOTS, N_LEVELS, N_LEVELS)


def test_outcome_half_an_hour_ahead_moves_a_sixth() -> None:
    near, far = new_states(1), new_states(1)
    for states, horizon_min in ((near, 5), (far, 30)):
        mean_correction.update(states, one(2.0), level(1.0, 1.0), one(4.0), horizon_min)
    assert far[:, 0] == pytest.approx(near[:, 0] / 6)
    assert np.array_equal(far[:, 1], near[:, 1])


def test_steps_of_the_offset_shrink_to_a_floor() -> None:
    states, errors, at = new_states(1), [], (one(2.0), level(0.0, 0.0))
    for _ in range(900):
        before = mean_correction.offsets(states, *at)[0]
        mean_correction.update(states, *at, one(1.0), 5)
        errors.append(mean_correction.offsets(states, *at)[0] - before)
    assert errors[:3] == pytest.approx([1 / 201, 1 / 202, 1 / 203], rel=1e-4)
    assert errors[-1] == pytest.approx(0.002, rel=1e-3)


def test_mean_of_a_situation_converges_to_that_of_its_outcomes() -> None:
    """In one situation a load of eight scales is switched off in two of five cases; the members expect no change."""
    draw, states, at = np.random.default_rng(1), new_states(1), (one(0.0), level(2.0, 3.0))
    for _ in range(6_000):
        outcome = -8.0 if draw.random() < 0.4 else 0.0
        mean_correction.update(states, *at, outcome - mean_correction.offsets(states, *at), 5)
    assert mean_correction.offsets(states, *at) == pytest.approx(one(-3.2), abs=0.4)


@pytest.mark.long
def test_ensemble_mean_of_a_compressor_is_better_than_each_member(compressor: EngineRun) -> None:
    """The compressor is on for 14 to 16 minutes, and off for 20 to 24."""
    actual_kw = compressor.outcome("actual_kw")[-3_000:]
    mean_kw, members_kw = compressor.outcome("published_kw")[-3_000:, 0], compressor.outcome("members_kw")[-3_000:, 0]
    errors = np.square(members_kw - actual_kw[:, np.newaxis]).mean(0)
    assert np.square(mean_kw - actual_kw).mean() < 0.95 * errors.min(), errors
