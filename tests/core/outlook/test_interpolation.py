"""Minutes between lead times are interpolated without overshoot or crossing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gapcast.core.outlook.interpolation import interpolate, interpolate_outlook
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, UPPER

LEADS_MIN = (1, 2, 3, 4, 5, 10, 15, 20, 30, 45, 60)
MINUTES = range(1, 61)
VALUES = arrays.arrays(np.float64, (2, 11, 4), elements=st.floats(-20, 20, width=32))


@given(VALUES)
def test_interpolation_is_exact_at_lead_times_and_never_overshoots(kw: np.ndarray) -> None:
    found = interpolate(LEADS_MIN, kw, MINUTES)
    at = np.array(LEADS_MIN) - 1
    assert np.array_equal(found[:, at], kw)
    for i, (begin, end) in enumerate(itertools.pairwise(LEADS_MIN)):
        part = found[:, begin - 1 : end]
        low, high = np.minimum(kw[:, i], kw[:, i + 1]), np.maximum(kw[:, i], kw[:, i + 1])
        assert (part >= low[:, np.newaxis] - 1e-9).all()
        assert (part <= high[:, np.newaxis] + 1e-9).all()
        rises = np.diff(part, axis=1) * np.sign(kw[:, i + 1] - kw[:, i])[:, np.newaxis]
        assert (rises >= -1e-9).all()


@given(VALUES)
def test_interpolated_bounds_enclose_mean_and_median(kw: np.ndarray) -> None:
    kw[:, :, LOWER:] = np.sort(kw[:, :, LOWER:], axis=-1)
    kw[:, :, MEAN] = np.clip(kw[:, :, MEAN], kw[:, :, LOWER], kw[:, :, UPPER])
    found, curves = interpolate_outlook(LEADS_MIN, kw, MINUTES), interpolate(LEADS_MIN, kw, MINUTES)
    for column in (MEAN, MEDIAN):
        assert (found[:, :, LOWER] <= found[:, :, column]).all()
        assert (found[:, :, column] <= found[:, :, UPPER]).all()
        assert np.array_equal(found[:, :, column], curves[:, :, column])
    assert np.array_equal(found[:, np.array(LEADS_MIN) - 1], kw)


def test_interpolated_bounds_encompass_a_mean_that_crosses_them() -> None:
    """Mean and upper bound are equal at 5 and 10 minutes, but the bound is constant before and the mean rises."""
    kw = np.zeros((1, len(LEADS_MIN), 4))
    kw[0, :, MEAN] = [0, 1, 2, 3, 4, 8, 12, 16, 24, 36, 48]
    kw[0, :, MEDIAN] = kw[0, :, LOWER] = 0.0
    kw[0, :, UPPER] = [4, 4, 4, 4, 4, 8, 12, 16, 24, 36, 48]
    seven = list(MINUTES).index(7)
    curves = interpolate(LEADS_MIN, kw, MINUTES)[0, seven]
    assert curves[MEAN] > curves[UPPER]
    assert interpolate_outlook(LEADS_MIN, kw, MINUTES)[0, seven, UPPER] == curves[MEAN]


def test_published_bounds_at_lead_times_stay() -> None:
    """At the horizon of the forecast, the published mean may be outside the published interval."""
    kw = np.array([[[3.0, 0.0, 1.0, 2.0], [3.0, 0.0, 1.0, 2.0]]])
    found = interpolate_outlook((5, 10), kw, (5, 7, 10))[0]
    assert found[:, UPPER].tolist() == [2.0, 3.0, 2.0]


def test_interpolation_of_a_straight_line_is_the_line() -> None:
    line = np.array(LEADS_MIN, dtype=np.float64)[np.newaxis, :, np.newaxis]
    assert interpolate(LEADS_MIN, line, MINUTES)[0, :, 0] == pytest.approx(np.arange(1, 61))


def test_interpolation_beyond_the_lead_times_is_constant() -> None:
    kw = np.array([[[1.0], [2.0]]])
    assert interpolate((5, 10), kw, [1, 5, 6, 10, 20])[0, :, 0].tolist() == [1.0, 1.0, 1.2, 2.0, 2.0]
    assert interpolate((5,), kw[:, :1], [1, 9])[0, :, 0].tolist() == [1.0, 1.0]
