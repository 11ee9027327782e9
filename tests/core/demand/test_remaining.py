"""Means of coming minutes from an outlook's means until each lead time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.demand.demand import F64
from gapcast.core.demand.remaining import mean_between, mean_until

LEADS_MIN = (1, 2, 5, 10, 60)


def means_of(minutes_kw: F64) -> F64:
    leads = np.array(LEADS_MIN)
    means_kw: F64 = (np.cumsum(minutes_kw)[leads - 1] / leads)[np.newaxis]
    return means_kw


@given(start=st.integers(0, 59), length=st.integers(1, 60))
def test_mean_between_of_a_constant_power_is_it(start: int, length: int) -> None:
    found = mean_between(LEADS_MIN, means_of(np.full(60, 2.5)), np.array([start]), np.array([start + length]))
    assert found[0] == pytest.approx(2.5)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 5), (1, 10), (10, 60), (2, 60)])
def test_mean_between_lead_times_is_exact(start: int, end: int) -> None:
    minutes_kw = np.random.default_rng(3).uniform(0, 5, 60)
    found = mean_between(LEADS_MIN, means_of(minutes_kw), np.array([start]), np.array([end]))
    assert found[0] == pytest.approx(minutes_kw[start:end].mean())


def test_mean_until_after_the_last_lead_time_stays() -> None:
    means_kw = means_of(np.arange(60.0))
    assert mean_until(LEADS_MIN, means_kw, np.array([90])) == means_kw[:, -1]


def test_mean_until_of_one_lead_time_is_it() -> None:
    assert mean_until((5,), np.array([[1.5]]), np.array([3])) == [1.5]
