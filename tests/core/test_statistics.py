"""Counts of a histogram."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.monitoring.statistics import Histogram


@given(st.lists(st.floats(0, 20), min_size=1, max_size=50))
def test_histogram_counts_under_the_first_matching_bound(values: list[float]) -> None:
    histogram = Histogram((1.0, 5.0, 10.0))
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.total == pytest.approx(sum(values))
    for i, bound in enumerate(histogram.bounds):
        assert sum(histogram.counts[: i + 1]) == sum(value <= bound for value in values)
