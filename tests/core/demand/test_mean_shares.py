"""Means of coming minutes from an outlook's means until each lead time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.demand.distributions.mean_shares import MeanShares

LEADS_MIN = (1, 2, 5, 10, 60)
SHARES = MeanShares(LEADS_MIN)


def means_of(minutes_kw: F64) -> F64:
    leads = np.array(LEADS_MIN)
    means_kw: F64 = np.cumsum(minutes_kw)[leads - 1] / leads
    return means_kw


def mean_between(means_kw: F64, start: int, end: int) -> float:
    return float(SHARES.shares(np.array([start]), np.array([end]))[0] @ means_kw)


@given(start=st.integers(0, 200), length=st.integers(1, 60))
def test_mean_between_of_a_constant_power_is_it(start: int, length: int) -> None:
    assert mean_between(means_of(np.full(60, 2.5)), start, start + length) == pytest.approx(2.5)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 5), (1, 10), (10, 60), (2, 60)])
def test_mean_between_lead_times_is_exact(start: int, end: int) -> None:
    minutes_kw = np.random.default_rng(3).uniform(0, 5, 60)
    assert mean_between(means_of(minutes_kw), start, end) == pytest.approx(minutes_kw[start:end].mean())


def test_mean_until_after_the_last_lead_time_stays() -> None:
    means_kw = means_of(np.arange(60.0))
    assert mean_between(means_kw, 0, 90) == pytest.approx(means_kw[-1])


def test_mean_until_of_one_lead_time_is_it() -> None:
    assert MeanShares((5,)).shares(np.array([0]), np.array([3])) @ np.array([1.5]) == pytest.approx(1.5)
