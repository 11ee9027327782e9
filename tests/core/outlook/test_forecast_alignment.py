"""Outlooks are made to agree with the published forecast, and stay within the limits of powers."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.outlook.correction.forecast_alignment import ForecastAlignment, PublishedValues
from gapcast.core.outlook.outlook import LOWER, UPPER
from gapcast.core.readings.reading import Limits

LEADS_MIN = (1, 2, 3, 4, 5, 10)
NAN = np.nan


def test_alignment_limits_outlooks_to_the_highest_power() -> None:
    alignment = ForecastAlignment(LEADS_MIN, LEADS_MIN[:5], ForecastRange.from_limits(Limits(max_kw=9.0)))
    high_kw = alignment.range.high_kw
    kw = np.full((1, len(LEADS_MIN), 2, 4), 8.0)
    kw[..., LOWER], kw[..., UPPER] = 7.0, high_kw + 1
    published = PublishedValues(np.full((1, 5), 8.0), np.array([[7.0, 8.0, 9.0]]))
    alignment.align(kw, published, np.zeros(1))
    uppers = kw[..., UPPER]
    assert uppers[0, 4, 0] == 9.0  # that of the published forecast
    uppers[0, 4, 0] = high_kw
    assert (uppers == high_kw).all()


@pytest.mark.parametrize(
    ("published_kw", "expected_kw"),
    [
        ((NAN, NAN, NAN), [2.0, 3.0, 4.0]),
        ((1.0, NAN, 2.5), [1.0, 2.5, 2.5]),
        ((3.5, NAN, 5.0), [3.5, 3.5, 5.0]),
        ((1.0, NAN, 5.0), [1.0, 3.0, 5.0]),
        ((NAN, 1.5, NAN), [1.5, 1.5, 4.0]),
        ((NAN, 4.5, NAN), [2.0, 4.5, 4.5]),
        ((1.0, 1.5, 2.0), [1.0, 1.5, 2.0]),
    ],
)
def test_published_quantiles_are_taken_and_the_others_ordered(
    published_kw: tuple[float, ...], expected_kw: list[float]
) -> None:
    alignment = ForecastAlignment(LEADS_MIN, LEADS_MIN[:5], ForecastRange.from_limits(Limits()))
    kw = np.full((1, len(LEADS_MIN), 2, 4), [3.0, 2.0, 3.0, 4.0])
    alignment.restore_published(kw, PublishedValues(np.full((1, 5), 3.0), np.array([published_kw])))
    assert kw[0, 4, 0, LOWER:].tolist() == expected_kw
