"""Means of outlooks are reconciled into one path of minutes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gapcast.core.outlook.correction.reconciliation import Reconciliation, means_of_leads, minutes_of_leads, times

LEADS_MIN = (1, 2, 3, 4, 5, 10, 15, 20, 30, 45, 60)
POWERS = arrays.arrays(np.float64, (2, 3, 11), elements=st.floats(-20, 20, width=32))


def means_of(point_kw: np.ndarray, leads_min: tuple[int, ...] = LEADS_MIN) -> np.ndarray:
    """Return the mean of the interpolated minutes up to each lead time, minute by minute."""
    minutes = np.arange(1, leads_min[-1] + 1)
    path = np.stack([np.interp(minutes, leads_min, row) for row in point_kw])
    return np.stack([path[:, :lead].mean(axis=1) for lead in leads_min], axis=1)


@given(POWERS)
def test_reconciled_means_equal_the_means_of_minutes(powers: np.ndarray) -> None:
    point, mean = powers[0].copy(), powers[1].copy()
    Reconciliation(LEADS_MIN, (1, 2, 3, 4, 5)).reconcile(point, mean, powers[0, :, :5], np.full(3, -1.0), 15.0)
    assert (point[:, :5] == powers[0, :, :5]).all()
    assert (point[:, 5:] >= -1.0).all()
    assert (point[:, 5:] <= 15.0).all()
    assert mean == pytest.approx(means_of(point), abs=1e-9)


def test_estimates_that_agree_stay_as_they_are() -> None:
    point = np.random.default_rng(1).normal(1.0, 0.3, (4, 11))
    mean, before = means_of(point), point.copy()
    Reconciliation(LEADS_MIN, (1, 2, 3, 4, 5)).reconcile(point, mean, point[:, :5].copy(), np.full(4, -5.0), 5.0)
    assert point == pytest.approx(before)


def test_reconciliation_of_one_row_equals_a_batch() -> None:
    values, matrix = np.random.default_rng(2).normal(size=(50, 11)), means_of_leads(LEADS_MIN)
    assert np.array_equal(times(values, matrix)[7:8], times(values[7:8], matrix))


def test_all_lead_times_published_leaves_nothing_to_reconcile() -> None:
    point, mean, published = np.zeros((1, 2)), np.zeros((1, 2)), np.array([[1.0, 3.0]])
    Reconciliation((1, 2), (1, 2, 3)).reconcile(point, mean, published, np.zeros(1), 10.0)
    assert point.tolist() == [[1.0, 3.0]]
    assert mean.tolist() == [[1.0, 2.0]]


def test_minutes_before_the_first_lead_time_equal_it() -> None:
    assert (minutes_of_leads((3, 5)) @ np.array([2.0, 4.0])).tolist() == [2.0, 2.0, 2.0, 3.0, 4.0]
