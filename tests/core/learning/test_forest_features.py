"""The inputs of the trees: by name, of any context, relative to the last reading."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32
from gapcast.core.learning.forests.forest_features import CONTEXT_MIN, ForestFeatures

CONTEXTS = st.integers(2, CONTEXT_MIN + 20)


def windows_of(n: int, context: int, seed: int) -> F32:
    return np.random.default_rng(seed).gamma(1.0, 1.0, (n, context)).astype(np.float32)


def named(features: ForestFeatures, window: F32, submeters_kw: F32 | None = None) -> dict[str, float]:
    """Return the features of one window by name."""
    columns = features.columns(window[np.newaxis], np.array([90]), submeters_kw)
    return dict(zip(features.names, columns[0].tolist(), strict=True))


@given(context=CONTEXTS, seed=st.integers(0, 99))
def test_features_of_any_context_are_finite_and_named_once(context: int, seed: int) -> None:
    features = ForestFeatures(context, 5)
    windows = windows_of(3, context, seed)
    columns = features.columns(windows, np.array([0, 720, 1439]))
    assert columns.shape == (3, len(features.names))
    assert len(set(features.names)) == len(features.names)
    assert np.isfinite(columns).all()
    assert features.columns(windows[1:2], np.array([720]))[0].tolist() == columns[1].tolist(), "alone as in a batch"


@given(context=CONTEXTS, seed=st.integers(0, 99))
def test_another_base_load_changes_only_the_level(context: int, seed: int) -> None:
    features = ForestFeatures(context, 5)
    window = np.round(windows_of(1, context, seed)[0] * 64) / 64  # so that another base load changes no difference
    low, high = named(features, window), named(features, window + np.float32(16.0))
    assert high.pop("level") == pytest.approx(low.pop("level") + 16, abs=1e-4)
    assert high == pytest.approx(low, abs=1e-4)


def test_lags_means_and_hour_are_where_their_names_say() -> None:
    found = named(ForestFeatures(180, 5), np.arange(180, dtype=np.float32))
    assert (found["level"], found["lag 1"], found["lag 20"], found["hour"]) == (179, -1, -20, 1.5)
    assert (found["mean 21 to 26"], found["mean 111 to 116"], found["mean of older"]) == (-23, -113, -147.5)
    assert (found["highest of 30"], found["lowest of 30"], found["lowest of 180"]) == (0, -29, -179)


def test_last_steps_have_time_height_and_level_before() -> None:
    window = np.full(60, 0.2, dtype=np.float32)
    window[20:30], window[45:52] = 2.2, 2.7
    found = named(ForestFeatures(60, 5), window)
    assert (found["since up 0.8"], found["between up 0.8"]) == (14, 25)
    assert (found["since down 0.8"], found["between down 0.8"]) == (7, 22)
    assert found["height up 0.8"] == pytest.approx(2.5)
    assert found["height down 0.8"] == pytest.approx(-2.5)
    assert found["before up 0.8"] == pytest.approx(0.0)
    assert found["before down 0.8"] == pytest.approx(2.5)


def test_window_without_a_step_has_the_longest_times() -> None:
    found = named(ForestFeatures(60, 5), np.full(60, 0.2, dtype=np.float32))
    assert (found["since up 0.15"], found["between up 0.15"], found["height up 0.15"]) == (59, 59, 0)


def test_submeters_have_level_changes_and_time_since_a_step() -> None:
    features = ForestFeatures(30, 5, ["car", "oven"])
    kw = np.full((1, 30, 2), np.nan, dtype=np.float32)
    kw[0, :, 0] = 1.0
    kw[0, 27:, 0] = 3.0
    found = named(features, np.ones(30, dtype=np.float32), kw)
    assert (found["car level"], found["car change 1"], found["car change 5"], found["car since step"]) == (3, 0, 2, 2)
    assert all(math.isnan(value) for name, value in found.items() if name.startswith("oven"))
    missing = named(features, np.ones(30, dtype=np.float32))
    assert math.isnan(missing["car level"])
    assert not math.isnan(missing["level"])


def test_submeters_of_a_short_window_miss_older_changes() -> None:
    found = named(ForestFeatures(2, 5, ["car"]), np.ones(2, dtype=np.float32), np.array([[[1.0], [2.0]]], np.float32))
    assert (found["car change 1"], found["car since step"]) == (1, 0)
    assert math.isnan(found["car change 5"])


def test_rest_of_the_mains_is_without_the_known_submeters() -> None:
    """A submeter that failed a minute ago is in the rest again; one with a gap of one minute holds its next value."""
    features = ForestFeatures(60, 5, ["car", "oven"])
    mains = np.full(60, 5.0, dtype=np.float32)
    mains[50:] = 8.0
    kw = np.zeros((1, 60, 2), dtype=np.float32)
    kw[0, 50:, 0], kw[0, 55, 0] = 3.0, np.nan
    kw[0, :, 1] = 1.0
    found = named(features, mains, kw)
    assert (found["rest of the mains level"], found["rest of the mains lowest of 30"]) == (4, 0)
    assert (found["car mean of 5"], found["car lowest of 30"], found["car highest of 60"]) == (0, -3, 0)
    assert found["car mean of 30"] == pytest.approx(-2)
    assert found["oven since step"] == 59
    kw[0, -1, 0] = np.nan
    failed = named(features, mains, kw)
    assert (failed["rest of the mains level"], failed["rest of the mains change 10"]) == (7, 3)
    assert all(math.isnan(value) for name, value in failed.items() if name.startswith("car"))
    assert not {name for name in ForestFeatures(60, 5).names if name.startswith("rest")}
