"""Scores of an outlook by lead time, and their picture."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from gapcast.core.streams.quarters import fill_unknown
from gapcast.core.windows.features import assemble
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.models_folder.store import load_model
from gapcast_trainer.report.figure_file import write_figure
from gapcast_trainer.training.outlook.house_windows import HouseWindows
from gapcast_trainer.training.outlook.picture import figure_of
from gapcast_trainer.training.outlook.scores import OutlookModelScores, score_outlook
from tests.support import models

FIRST, ROWS = 1_000_000, np.arange(5, 900, 7)


@pytest.fixture(scope="module")
def house() -> HouseWindows:
    kw = np.random.default_rng(1).gamma(1.0, 0.5, 1_000)
    kw[500] = np.nan
    return HouseWindows.from_series(FIRST, kw, WindowSpec(30))


@pytest.fixture(scope="module")
def found(house: HouseWindows) -> OutlookModelScores:
    return score_outlook(load_model(models.history_model()), house, ROWS, UTC)


def test_outlook_scores_equal_a_direct_calculation(house: HouseWindows, found: OutlookModelScores) -> None:
    predictor = load_model(models.history_model())
    kw = house.windows_kw(ROWS)
    windows = assemble(kw[:, :, np.newaxis], house.observed_minute[ROWS], predictor.features, UTC)
    outputs = predictor.predict(windows, fill_unknown(house.history_kw(ROWS), kw.mean(axis=1)))
    assert outputs.mean_to is not None
    _, until = house.outcomes_kw(ROWS, predictor.lead_times_min)
    at = predictor.lead_times_min.index(15)
    known = ~np.isnan(until[:, at])
    actual = until[known, at]
    assert found.mean.n[at] == known.sum() < ROWS.size
    assert found.mean.mse_kw2[at] == pytest.approx(np.mean((actual - outputs.mean_to[known, at]) ** 2), rel=1e-5)
    assert found.mean.persistence_mae_kw[at] == pytest.approx(np.abs(actual - kw[known, -1]).mean(), rel=1e-5)
    window = kw[known, -15:].mean(axis=1)
    assert found.mean.window_mse_kw2[at] == pytest.approx(np.mean((actual - window) ** 2), rel=1e-5)


def test_outlook_scores_at_a_lead_time_equal_a_cards(found: OutlookModelScores) -> None:
    own, naive = found.point_at(30)
    at = found.lead_times_min.index(30)
    assert (own.n, naive.n) == (found.point.n[at], found.point.n[at])
    assert own.mse_kw2 == pytest.approx(found.point.mse_kw2[at], abs=1e-6)
    assert own.mae_median_kw == pytest.approx(found.point.mae_kw[at], abs=1e-6)
    assert (naive.mae_median_kw, naive.coverage) == (None, None)


def test_outlook_model_of_single_minutes_alone_is_rejected(house: HouseWindows) -> None:
    with pytest.raises(ValueError, match="lstm-5-3 forecasts no means"):
        score_outlook(load_model(models.shipped_models() / "lstm-5-3"), house, ROWS, UTC)


def test_outlook_picture_is_the_same_for_the_same_scores(found: OutlookModelScores, tmp_path: Path) -> None:
    assert len(figure_of({"a": found, "b": found}).axes) == 6
    for name in ("one.svg", "two.svg"):
        write_figure(figure_of({"a": found}), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
