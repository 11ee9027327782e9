"""The latest forecasts: a stored forecast is returned only if it is a possible forecast."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.forecasts.forecast import EnsembleWeights, Forecasts, join_forecasts
from gapcast.core.forecasts.newest_forecast_columns import NewestForecastColumns
from gapcast.core.models.predictor import PublishedModel
from gapcast.core.windows.window import WindowSpec

MODEL = PublishedModel("blend", "1", WindowSpec(30, "oldest"), (1, 5), (0.05, 0.5, 0.95))
NAMES = ("lstm", "persistence")
MEDIAN, LOWER, UPPER, FIRST_MEAN = range(4)


@pytest.fixture
def columns() -> tuple[np.ndarray, ...]:
    """The stored columns of one forecast."""
    latest = NewestForecastColumns(2, NAMES)
    shares = EnsembleWeights(NAMES, np.array([[0.75, 0.25, 0.5, 0.5]], dtype=np.float32))
    quantiles_kw = [1.5], [1.0], [2.0]
    made = Forecasts(
        MODEL,
        1_700_000_000_000,
        ["a"],
        [28_000_000],
        [30],
        [1.6],
        *quantiles_kw,
        path_kw=np.array([[1.2, 1.6]]),
        shares=shares,
    )
    latest.store_forecasts([0], made)
    assert latest.read(0, "a", MODEL) == made[0]
    return latest.columns([0])


@pytest.mark.parametrize(
    ("column", "place", "value"),
    [
        (0, LOWER, 1.75),  # above the median
        (0, UPPER, 1.25),
        (0, LOWER, -1e9),
        (0, UPPER, 1e9),
        (0, FIRST_MEAN, 1e9),
        (0, FIRST_MEAN, np.nan),
        (1, 0, -5),
        (1, 1, -5),
        (3, 0, 1.5),
        (3, 0, -0.5),
        (3, 0, np.nan),
        (3, 1, np.nan),
    ],
)
def test_latest_does_not_return_impossible_values(
    columns: tuple[np.ndarray, ...], column: int, place: int, value: float
) -> None:
    columns[column][0, place] = value
    after = NewestForecastColumns(2, NAMES)
    after.restore_columns(*columns)
    assert after.read(0, "a", MODEL) is None


def test_latest_without_a_forecast_is_none() -> None:
    assert NewestForecastColumns(2, NAMES).read(0, "a", MODEL) is None
    assert NewestForecastColumns(2, NAMES).read(1_000, "a", MODEL) is None


@pytest.mark.parametrize("has_quantiles", [False, True])
@pytest.mark.parametrize("has_path", [False, True])
def test_latest_single_forecast_is_stored_as_among_others(has_quantiles: bool, has_path: bool) -> None:
    median_kw, lower_kw, upper_kw = ([1.5], [1.0], [2.0]) if has_quantiles else (None, None, None)
    path_kw = np.array([[1.2, 1.6]]) if has_path else None
    made = Forecasts(MODEL, 1_700_000_000_000, ["a"], [28_000_000], [30], [1.6], median_kw, lower_kw, upper_kw, path_kw)
    alone, among = (NewestForecastColumns(2 if has_path else 1) for _ in range(2))
    alone.store_forecasts([3], made)
    among.store_forecasts([3, 4], join_forecasts([made, made]))
    assert alone.read(3, "a", MODEL) == among.read(3, "a", MODEL) == made[0]
