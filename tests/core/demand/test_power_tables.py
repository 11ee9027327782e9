"""Distributions as tables of quantiles: probabilities, quantiles and tails agree."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.demand.distributions.distribution import LEVELS, PowerDistributions

NORMAL = [NormalDist(2.0, 0.5).inv_cdf(level) for level in LEVELS]
POWERS = PowerDistributions.from_quantiles(np.array([NORMAL, [0.0] * 5 + [3.0] * (len(LEVELS) - 5)]))


@given(level=st.floats(1e-6, 1 - 1e-6))
def test_quantile_is_exceeded_with_the_rest_of_its_level(level: float) -> None:
    kw = POWERS.quantile(level)
    assert POWERS.exceedance(kw)[0] == pytest.approx(1 - level, abs=1e-6)


@given(low_kw=st.floats(-50, 50), step_kw=st.floats(0, 50))
def test_probability_falls_with_the_limit_and_is_never_certain(low_kw: float, step_kw: float) -> None:
    lower, higher = (POWERS.exceedance(np.full(2, kw))[0] for kw in (low_kw, low_kw + step_kw))
    assert 0 <= higher <= lower <= 1


def test_table_that_falls_is_made_to_rise() -> None:
    powers = PowerDistributions.from_quantiles(np.linspace(1.0, 0.0, len(LEVELS))[np.newaxis])
    assert len(powers) == 1
    assert (np.diff(powers.kw) > 0).all()
    assert powers.kw[0] == pytest.approx(1.0, abs=1e-4)
