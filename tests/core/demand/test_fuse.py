"""The risk that a minute is above a fuse's limit."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.demand.distributions.exceedances import EXTREMAL_INDEX
from gapcast.core.demand.headroom.fuse import FuseRisk

LEADS_MIN = (1, 5, 15, 60)


def outlook(median_kw: float, width_kw: float) -> F64:
    return np.tile([median_kw, median_kw - width_kw, median_kw, median_kw + width_kw], (1, len(LEADS_MIN), 1))


def p_above(median_kw: float, width_kw: float, left_min: int, fuse_kw: float) -> float:
    risk = FuseRisk(LEADS_MIN)
    return float(risk.p_above(outlook(median_kw, width_kw), np.array([left_min]), np.array([[fuse_kw]]))[0])


def test_fuse_of_one_minute_has_its_tail() -> None:
    assert p_above(2.0, 1.0, 1, 3.0) == pytest.approx(0.05, abs=1e-6)
    assert p_above(2.0, 1.0, 1, 1.0) == pytest.approx(0.95, abs=1e-6)


def test_fuse_of_several_minutes_is_a_run_of_them() -> None:
    assert p_above(2.0, 1.0, 10, 3.0) == pytest.approx(1 - 0.95 ** (10 * EXTREMAL_INDEX), abs=1e-5)


def test_fuse_between_lead_times_lies_on_a_line() -> None:
    kw = outlook(1.0, 0.5)
    kw[:, 1] += 4.0  # the fifth minute is at 5 kW, the third at 3 kW
    found = FuseRisk(LEADS_MIN).p_above(kw, np.array([3]), np.array([[3.0]]))
    assert found[0] == pytest.approx(0.5, abs=1e-3)


def test_fuse_of_the_last_minute_of_the_outlook_counts() -> None:
    kw = outlook(1.0, 0.5)
    kw[:, -1] += 10.0
    found = [FuseRisk(LEADS_MIN).p_above(kw, np.array([left]), np.array([[11.0]]))[0] for left in (59, 60)]
    assert found[0] < 0.3
    assert found[1] == pytest.approx(0.5, abs=1e-6)


def test_fuse_beyond_the_upper_bound_decays_slowly() -> None:
    one, two = p_above(2.0, 1.0, 1, 4.0), p_above(2.0, 1.0, 1, 5.0)
    assert 1 - NormalDist(2.0, 1.0 / NormalDist().inv_cdf(0.95)).cdf(4.0) < one < 0.05
    assert one / 0.05 == pytest.approx(two / one)


def test_fuse_far_from_the_outlook_is_certain() -> None:
    assert p_above(2.0, 0.0, 15, 50.0) == pytest.approx(0.0, abs=1e-12)
    assert p_above(2.0, 0.0, 15, 1.0) == pytest.approx(1.0)


@given(
    median_kw=st.floats(-5, 20), width_kw=st.floats(0.01, 5), left_min=st.integers(1, 90), risk=st.floats(0.001, 0.5)
)
def test_fuse_headroom_keeps_the_risk(median_kw: float, width_kw: float, left_min: int, risk: float) -> None:
    fuse, kw, left, limits_kw = (
        FuseRisk(LEADS_MIN),
        outlook(median_kw, width_kw),
        np.array([left_min]),
        np.array([[9.0]]),
    )
    headroom_kw = fuse.headroom_kw(kw, left, limits_kw, np.array([risk]))
    assert fuse.p_above(kw + headroom_kw, left, limits_kw)[0] <= risk + 1e-5


def test_fuse_headroom_of_one_minute_is_its_quantile() -> None:
    headroom_kw = FuseRisk(LEADS_MIN).headroom_kw(outlook(2.0, 1.0), np.array([1]), np.array([[9.0]]), np.array([0.05]))
    level = min(0.05, 1 - 0.95 ** (1 / EXTREMAL_INDEX))
    assert headroom_kw[0] == pytest.approx(7.0 - NormalDist().inv_cdf(1 - level) / NormalDist().inv_cdf(0.95))
