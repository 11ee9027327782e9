"""Outcomes and reference forecasts of outlooks agree with a plain loop over the minutes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES, MinutePower

FIRST = 21_476_160
DAY, WEEK = 1_440, 10_080


def house() -> tuple[dict[int, float], dict[int, float]]:
    """Return nine days of power by minute, known and measured, with gaps and filled minutes."""
    draw = np.random.default_rng(3)
    known = {FIRST + i: float(kw) for i, kw in enumerate(draw.gamma(1, 1, 9 * DAY)) if draw.random() > 0.03}
    measured = {minute: kw for minute, kw in known.items() if minute % 97 > 2}
    return known, measured


def dense(powers: dict[int, float], n: int = 9 * DAY) -> np.ndarray:
    return np.array([powers.get(FIRST + i, math.nan) for i in range(n)])


def mean_of(powers: dict[int, float], first: int, n: int, required: int) -> float:
    there = [powers[minute] for minute in range(first, first + n) if minute in powers]
    return sum(there) / len(there) if len(there) >= required else math.nan


@pytest.mark.parametrize("lead", [1, 5, 17, 60])
def test_reference_forecasts_equal_the_plain_loop(lead: int) -> None:
    known, measured = house()
    power = MinutePower(FIRST, dense(known), dense(measured))
    observed = np.arange(FIRST, FIRST + 9 * DAY, 7)
    outcomes, references = power.outcomes_kw(observed, lead), power.references_kw(observed, lead)
    assert outcomes.shape == (len(observed), len(KINDS))
    assert references.shape == (len(observed), len(KINDS), len(REFERENCES))
    half = (lead + 1) // 2
    for i, minute in enumerate(observed.tolist()):
        last = known.get(minute, math.nan)
        window = mean_of(known, minute - lead + 1, lead, 1)
        points = [last, window, *(known.get(minute + lead - back, math.nan) for back in (DAY, WEEK))]
        means = [last, window, *(mean_of(known, minute + 1 - back, lead, half) for back in (DAY, WEEK))]
        np.testing.assert_allclose(references[i], [points, means], atol=1e-9)
        actual = measured.get(minute + lead, math.nan), mean_of(measured, minute + 1, lead, lead)
        np.testing.assert_allclose(outcomes[i], actual, atol=1e-9)
    assert np.isfinite(outcomes).any()
    assert np.isfinite(references[-1, 0]).any()


def test_reference_forecasts_of_one_minute_are_the_same() -> None:
    known, measured = house()
    power = MinutePower(FIRST, dense(known), dense(measured))
    observed = np.arange(FIRST, FIRST + 9 * DAY)
    point_kw, mean_kw = power.outcomes_kw(observed, 1).T
    np.testing.assert_allclose(mean_kw, point_kw, atol=1e-9)
    references = power.references_kw(observed, 1)
    np.testing.assert_allclose(references[:, 1], references[:, 0], atol=1e-9)
