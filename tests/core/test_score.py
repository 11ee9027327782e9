"""Scores and counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.errors import SourceError
from gapcast.core.forecasts.score import ScoreAccumulator
from gapcast.core.monitoring.statistics import Histogram

KW = st.floats(-50, 50)


@given(st.lists(st.tuples(KW, KW, KW), min_size=1, max_size=30))
def test_score_matches_numpy(triples: list[tuple[float, float, float]]) -> None:
    score = ScoreAccumulator()
    for actual, forecast, last in triples:
        score.add(actual, forecast, last)
    actual, forecast, last = np.array(triples).T
    assert score.n == len(triples)
    assert score.mse_kw2 == pytest.approx(np.mean((forecast - actual) ** 2))
    assert score.mae_kw == pytest.approx(np.mean(np.abs(forecast - actual)))
    assert score.persistence_mse_kw2 == pytest.approx(np.mean((last - actual) ** 2))
    assert score.persistence_mae_kw == pytest.approx(np.mean(np.abs(last - actual)))
    if score.persistence_mse_kw2 > 1e-6:
        assert score.skill == pytest.approx(1 - score.mse_kw2 / score.persistence_mse_kw2)


def test_score_of_constant_power_has_no_skill() -> None:
    score = ScoreAccumulator()
    assert math.isnan(score.skill)
    score.add(actual_kw=0.2, forecast_kw=0.3, last_kw=0.2 + 3e-9)
    assert math.isnan(score.skill)


@given(st.lists(st.tuples(KW, KW, KW, st.none() | KW), min_size=1, max_size=30))
def test_score_mae_uses_the_median_if_present(
    given_kw: list[tuple[float, float, float, float | None]],
) -> None:
    score, by_mean = ScoreAccumulator(), ScoreAccumulator()
    for actual_kw, forecast_kw, last_kw, median_kw in given_kw:
        score.add(actual_kw, forecast_kw, last_kw, median_kw)
        by_mean.add(actual_kw, forecast_kw, last_kw)
    pairs = [(actual, forecast if median is None else median) for actual, forecast, _, median in given_kw]
    assert score.mae_kw == pytest.approx(np.mean([abs(kw - actual) for actual, kw in pairs]))
    assert (score.n, score.mse_kw2, score.persistence_mse_kw2, score.persistence_mae_kw) == (
        by_mean.n, by_mean.mse_kw2, by_mean.persistence_mse_kw2, by_mean.persistence_mae_kw
    )  # fmt: skip


def test_score_without_outcomes_is_empty() -> None:
    assert math.isnan(ScoreAccumulator().mse_kw2)
    assert math.isnan(ScoreAccumulator().skill)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=50))
def test_histogram_counts_under_the_first_matching_bound(values: list[float]) -> None:
    histogram = Histogram((1.0, 5.0, 10.0))
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.total == pytest.approx(sum(values))
    for i, bound in enumerate(histogram.bounds):
        assert sum(histogram.counts[: i + 1]) == sum(value <= bound for value in values)


def test_source_error_names_the_line() -> None:
    assert str(SourceError("a.csv", "no number", 7)) == "a.csv, line 7: no number"
    assert str(SourceError("a.csv", "not there")) == "a.csv: not there"
