"""Learned coefficients without some of their columns equal least squares that never had the columns."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.learning.online_model.removed_columns import without_columns

KEPT = np.array([0, 2, 3])


def learned(columns: np.ndarray, outcomes: np.ndarray) -> tuple[F32, F32]:
    """Return coefficients ``[1, 1, D]`` and covariance ``[1, D, D]`` of ridge regression."""
    covariance = np.linalg.inv(columns.T @ columns + np.eye(columns.shape[1]))
    return (covariance @ columns.T @ outcomes)[np.newaxis, np.newaxis].astype(np.float32), covariance[
        np.newaxis
    ].astype(np.float32)


def test_removed_columns_leave_what_was_learned_without_them() -> None:
    draw = np.random.default_rng(0)
    columns = draw.normal(size=(500, 5)) @ draw.normal(size=(5, 5))
    outcomes = columns @ draw.normal(size=5) + draw.normal(size=500)
    coefficients, covariance = without_columns(*learned(columns, outcomes), KEPT)
    expected, expected_covariance = learned(columns[:, KEPT], outcomes)
    assert coefficients == pytest.approx(expected, rel=1e-3)
    assert covariance == pytest.approx(expected_covariance, rel=1e-3)


def test_removed_columns_of_none_change_nothing() -> None:
    coefficients, covariance = learned(np.eye(4) * 3, np.arange(4.0))
    same, also = without_columns(coefficients, covariance, np.arange(4))
    assert np.array_equal(same, coefficients)
    assert np.array_equal(also, covariance)


def test_removed_columns_of_many_devices_equal_single_devices() -> None:
    draw = np.random.default_rng(1)
    each = [learned(draw.normal(size=(50, 5)), draw.normal(size=50)) for _ in range(130)]
    coefficients, covariance = (np.concatenate(arrays) for arrays in zip(*each, strict=True))
    together = without_columns(coefficients, covariance, KEPT)
    for i in (0, 63, 64, 129):
        alone = without_columns(*each[i], KEPT)
        assert together[0][i] == pytest.approx(alone[0][0], rel=1e-5, abs=1e-7)
        assert together[1][i] == pytest.approx(alone[1][0], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("value", [0.0, 1e38, -1.0])
def test_removed_columns_of_a_damaged_covariance_stay_finite(value: float) -> None:
    coefficients, covariance = (a.repeat(2, axis=0) for a in learned(np.eye(4) * 3, np.arange(4.0)))
    sound = without_columns(coefficients, covariance, KEPT)
    covariance[0] = value
    covariance[0, 0, 1] = covariance[0, 1, 0] = 3e38
    found = without_columns(coefficients, covariance, KEPT)
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[1]).all()
    assert np.array_equal(found[0][1], sound[0][1])
