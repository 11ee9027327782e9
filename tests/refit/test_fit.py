"""Trees fitted to a house: equal to LightGBM's, and used only if they do well on unseen days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from functools import cache
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapcast.core.learning.forests.forest import OUTPUTS, ForestBuilder
from gapcast.core.learning.forests.forest_features import ForestFeatures
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import WindowSpec, cut
from gapcast.refit.fit import add_trees, refit
from gapcast.refit.forest_check import skills_of
from gapcast.refit.forest_file import RefitResult, Skills
from gapcast.refit.minutes import RecordedMinutes
from gapcast.refit.worker import FitOptions, FormerForest
from tests.core.learning.test_house_forests import constant_forest
from tests.refit.cycling import cycling_house, submetered_house
from tests.support.houses import FIRST

OPTIONS = FitOptions(5, WindowSpec(60), UTC)
N = 3 * DAY_MIN


@cache
def fit_of_cycles(n: int) -> RefitResult:
    """Return the fit to ``n`` minutes of the house that cycles, shared by several tests."""
    return refit(cycling_house(n), OPTIONS)


@cache
def fit_of_submetered(*names: str) -> RefitResult:
    """Return the fit to two days of the house with submeters, of which ``names`` are inputs."""
    return refit(submetered_house(2 * DAY_MIN), replace(OPTIONS, submeters=names))


def test_skills_of_a_constant_house_are_zero() -> None:
    """Persistence errs by rounding alone: a ratio to it would be a skill of minus millions."""
    checked: Any = SimpleNamespace(columns=np.zeros((2, 1), dtype=np.float32), change_kw=np.array([3e-10, -3e-10]))
    assert skills_of(constant_forest(("level",), (1e-3, 1e-3)), checked) == Skills(0.0, 0.0)


@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.3]), objective=st.sampled_from(["l2", "quantile"]))
@settings(max_examples=15, deadline=None)
def test_exported_trees_predict_what_lightgbm_predicts(seed: int, missing: float, objective: str) -> None:
    """This includes missing values, whether or not the fitted data contained any."""
    generator = np.random.default_rng(seed)
    columns = generator.normal(size=(400, 5)).astype(np.float32)
    columns[:, 2] = columns[:, 2].round()
    columns[generator.random(columns.shape) < missing] = np.nan
    target = np.nan_to_num(columns[:, 0] * 2 + np.abs(columns[:, 1])) + generator.normal(size=400)
    parameters: dict[str, Any] = {"objective": objective, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lightgbm.train(parameters, lightgbm.Dataset(columns, target), 12)
    builder = ForestBuilder([f"column {i}" for i in range(5)])
    builder.begin_output()
    add_trees(builder, booster)
    others = generator.normal(size=(300, 5)).astype(np.float32)
    others[generator.random(others.shape) < 0.2] = np.nan
    for rows in (columns, others):
        assert builder.build().predict(rows)[:, 0] == pytest.approx(booster.predict(rows), abs=1e-9)


def test_house_that_cycles_is_forecast_far_better_than_persistence() -> None:
    result = fit_of_cycles(N)
    assert result.problem == ""
    assert result.forest is not None
    assert result.skills is not None
    assert result.skills.mse_skill > 0.5
    assert result.skills.mae_skill > 0.2
    assert (result.n_windows, result.n_checked) == (N - 6, 720)
    assert (result.horizon_min, result.fitted_at_min) == (5, FIRST + N - 1)
    assert len(result.forest.first_trees) == len(OUTPUTS)


@pytest.mark.long
def test_same_minutes_give_the_same_trees() -> None:
    one, other = fit_of_cycles(2 * DAY_MIN).forest, refit(cycling_house(2 * DAY_MIN), OPTIONS).forest
    assert one is not None
    assert other is not None
    assert all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())


def test_fit_that_rests_gives_the_same_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each tree it rests as long as the tree took: all of this thread's work except the last tree's windows."""
    slept_s: list[float] = []
    monkeypatch.setattr("gapcast.refit.fit.time.sleep", slept_s.append)
    one, other = refit(cycling_house(2 * DAY_MIN), OPTIONS, rests=True).forest, fit_of_cycles(2 * DAY_MIN).forest
    assert one is not None
    assert other is not None
    assert len(slept_s) == (200 + 300) * 2 + 60 * 2
    assert min(slept_s) >= 0
    assert sum(slept_s) > 0
    assert all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())


def test_house_without_a_pattern_is_not_forecast_by_trees() -> None:
    """On a random walk nothing is better than persistence."""
    walk_kw = 50 + np.random.default_rng(3).standard_normal(N).cumsum() * 0.1
    house = RecordedMinutes(np.arange(FIRST, FIRST + N), walk_kw.astype(np.float32), np.zeros(N, dtype=bool))
    result = refit(house, OPTIONS)
    assert result.forest is None
    assert "above those of persistence" in result.problem


def test_few_minutes_are_not_fitted() -> None:
    result = refit(cycling_house(1_000), OPTIONS)
    assert (result.forest, result.problem) == (None, "994 windows are too few")
    nothing = RecordedMinutes(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), np.empty(0, dtype=bool))
    assert refit(nothing, OPTIONS).problem == "0 windows are too few"


def test_filled_minutes_are_no_targets() -> None:
    house = cycling_house(N)
    filled = np.zeros(N, dtype=bool)
    filled[1_000:1_500] = True
    assert refit(replace(house, is_filled=filled), OPTIONS).n_windows == N - 6 - 500


def test_forest_in_use_stays_if_the_new_one_loses_clearly_to_it() -> None:
    """The new minutes are only noise, which teaches nothing; the former forest knows the house."""
    house, former = cycling_house(N), fit_of_cycles(N).forest
    assert former is not None
    noisy_kw = house.gap_kw.copy()
    noisy_kw[: N - 720] = np.random.default_rng(5).permutation(noisy_kw[: N - 720])
    result = refit(replace(house, gap_kw=noisy_kw), OPTIONS, FormerForest(former, FIRST + N - 740))
    assert result.forest is None
    assert result.former is not None
    assert result.former.mse_skill > 0.5


@pytest.mark.long
def test_submeter_that_leads_the_mains_lowers_the_error() -> None:
    without, with_submeters = fit_of_submetered().skills, fit_of_submetered("thermostat", "idle").skills
    assert without is not None
    assert with_submeters is not None
    assert 1 - with_submeters.mse_skill < 0.7 * (1 - without.mse_skill)
    assert 1 - with_submeters.mae_skill < 0.5 * (1 - without.mae_skill)


def test_trees_expect_no_zero_from_a_submeter_that_fails() -> None:
    """When it fails they forecast about as well as trees without it, although it was never missing before."""
    house = submetered_house(2 * DAY_MIN)
    errors = []
    for names in ((), ("thermostat",)):
        forest = fit_of_submetered(*names).forest
        assert forest is not None
        features = ForestFeatures(OPTIONS.spec.context, OPTIONS.horizon_min, names)
        windows = cut(house.gap_kw, OPTIONS.spec)
        rows = slice(len(windows) - 720, len(windows) - 5)
        minutes = house.minutes[windows.origin[rows]] + 5
        predicted_kw = forest.predict(features.columns(windows[rows], minutes % DAY_MIN))[:, 0]
        change_kw = house.gap_kw[windows.origin[rows] + 5] - house.gap_kw[windows.origin[rows]]
        errors.append(float(np.square(predicted_kw - change_kw).mean()))
    assert errors[1] < 1.5 * errors[0]


def test_forest_without_submeters_is_compared_with_a_new_one() -> None:
    house, former = submetered_house(2 * DAY_MIN), fit_of_submetered().forest
    assert former is not None
    result = refit(house, replace(OPTIONS, submeters=("thermostat",)), FormerForest(former, FIRST))
    assert result.former is not None
    assert result.forest is not None


def test_forest_of_other_features_is_not_compared() -> None:
    house = cycling_house(2 * DAY_MIN)
    former = refit(house, replace(OPTIONS, spec=WindowSpec(30))).forest
    assert former is not None
    assert refit(house, OPTIONS, FormerForest(former, FIRST)).former is None
