"""Analogs of the online model: the changes after earlier moments of a window that resemble the newest one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.learning.online_model.analog_features import MEAN_CHANGE_NAMES, N_KW, has_analogs, write_analogs
from tests.support.examples import examples

CONTEXT = 180
WIDTHS = (0.1, 0.25, 0.6)


def analogs_of(kw: F64, scale_kw: float = 0.2, horizon_min: int = 5) -> F64:
    """Return the features of one window ``[T]``, ``[3]``, kW."""
    found = np.empty((1, N_KW), np.float32)
    write_analogs(np.array([kw], np.float32), np.array([scale_kw], np.float32), horizon_min, found)
    analogs: F64 = found[0].astype(np.float64)
    return analogs


def by_definition(kw: F64, scale_kw: float, horizon_min: int) -> list[float]:
    """Return the features, computed moment by moment."""
    kw = kw.astype(np.float32).astype(np.float64)[-CONTEXT:]
    spread_kw = np.abs(kw - kw.mean()).mean() + 0.5 * scale_kw

    def course_of(moment: int) -> F64:
        ends = [moment - 6 * back for back in range(8)]
        course_kw: F64 = np.array([kw[end - 5 : end + 1].mean() - kw[moment] for end in ends])
        return course_kw

    moments, weights = range(47, len(kw) - horizon_min), 0.8 ** np.arange(8)
    differences = np.array([np.square(course_of(one) - course_of(len(kw) - 1)) @ weights for one in moments])
    differences /= weights.sum() * spread_kw**2
    changes = np.array([np.clip((kw[one + horizon_min] - kw[one]) / spread_kw, -8, 8) for one in moments])
    kernels = [(1 + differences / (8 * width**2)) ** -4 for width in WIDTHS]
    return [spread_kw * float(kernel @ changes / (kernel.sum() + 0.05)) for kernel in kernels]


def cycling(on_min: int, off_min: int, ahead: int = 0, n: int = CONTEXT) -> F64:
    """A load of 1 kW that is on and off for so many minutes; the newest of ``n`` minutes is ``ahead`` in the cycle."""
    minute = np.arange(n) - (n - 1) + ahead
    return np.where(minute % (on_min + off_min) < on_min, 1.0, 0.0)


@examples(25)
@given(st.integers(0, 2**32 - 1), st.sampled_from((110, 180, 250)), st.sampled_from((1, 5)))
def test_analogs_equal_their_definition(seed: int, context: int, horizon_min: int) -> None:
    draw = np.random.default_rng(seed)
    kw = np.repeat(draw.gamma(1.0, 1.0, context // 5), 5) + draw.normal(0, 0.05, context // 5 * 5)
    assert analogs_of(kw, 0.3, horizon_min) == pytest.approx(by_definition(kw, 0.3, horizon_min), abs=1e-5)


@pytest.mark.parametrize("ahead", [0, 4, 9, 14])
def test_analogs_of_a_cycle_forecast_it(ahead: int) -> None:
    change_kw = cycling(7, 8, ahead + 5)[-1] - cycling(7, 8, ahead)[-1]
    assert analogs_of(cycling(7, 8, ahead))[0] == pytest.approx(change_kw, abs=0.1)


def test_analogs_of_constant_power_expect_no_change() -> None:
    assert analogs_of(np.full(CONTEXT, 2.0)).tolist() == [0.0] * N_KW


def test_analogs_ignore_minutes_before_the_newest_three_hours() -> None:
    kw = np.concatenate((np.full(60, 9.0), cycling(7, 8)))
    assert np.array_equal(analogs_of(kw), analogs_of(kw[-CONTEXT:]))


@pytest.mark.parametrize(
    ("context", "horizon_min", "has_any"), [(112, 5, True), (111, 5, False), (180, 60, True), (30, 5, False)]
)
def test_analogs_need_long_windows(context: int, horizon_min: int, has_any: bool) -> None:
    assert has_analogs(context, horizon_min) is has_any
    assert len(MEAN_CHANGE_NAMES) == N_KW == len(WIDTHS)
