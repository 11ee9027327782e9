"""The features of the online model: what they describe in a window, and that the device's scale is their unit."""

from __future__ import annotations

from datetime import UTC

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.learning.online_model import random_features, rls_model, step_features
from gapcast.core.learning.online_model.rls_features import RlsFeatures
from tests.support.examples import examples
from tests.support.houses import house_kw

CONTEXT = 180


def steps_of(kw: F64, scale_kw: float = 0.2) -> dict[str, float]:
    """Return the step features of one window by name."""
    in_kw, times = np.empty((1, step_features.N_KW), np.float32), np.empty((1, step_features.N_TIMES), np.float32)
    step_features.write_steps(np.array([kw], np.float32), np.array([scale_kw], np.float32), in_kw, times)
    names = (*step_features.KW_NAMES, *step_features.TIME_NAMES)
    return dict(zip(names, np.concatenate((in_kw[0], times[0])).tolist(), strict=True))


def features_of(windows: F32, scale_kw: F64, context: int = CONTEXT) -> F32:
    """Return all features of windows at noon, with one model that forecasts a change of half a scale."""
    view = RlsFeatures(context, ["model mean"], UTC, 5)
    forecast_kw = windows[:, -1] + np.float32(0.5) * scale_kw.astype(np.float32)
    columns = view.columns_kw(windows, [forecast_kw], np.full(len(windows), 720))
    view.complete(columns, windows, windows[:, -1] + scale_kw, scale_kw / 2, scale_kw, rls_model.LIMIT)
    return columns


def windows_of(n: int, seed: int = 1) -> F32:
    kw = house_kw(n + CONTEXT - 1, seed).astype(np.float32)
    return np.lib.stride_tricks.sliding_window_view(kw, CONTEXT).copy()


def cycling(off_min: int, on_min: int, since_up: int) -> F64:
    """Return a window of a 2 kW load on a base of 0.5 kW that was switched on ``since_up`` minutes ago."""
    phase = (np.arange(CONTEXT)[::-1] * -1 + since_up) % (off_min + on_min)
    return np.where(phase < on_min, 2.5, 0.5)


def test_steps_of_a_cycling_load_distinguish_its_phases() -> None:
    found = steps_of(cycling(off_min=20, on_min=12, since_up=7))
    assert (found["step up"], found["step down"], found["above"], found["is on"]) == (2.0, -2.0, 2.0, 1.0)
    minutes = {name: np.expm1(found[name]) for name in ("since up", "since down", "last on", "last off")}
    assert minutes == pytest.approx({"since up": 7, "since down": 27, "last on": 12, "last off": 20}, abs=1e-4)
    assert (found["longer on"], found["longer off"]) == pytest.approx((-0.5, 0.7))


def test_steps_of_constant_power_are_none() -> None:
    found = steps_of(np.full(CONTEXT, 1.0))
    assert [found[name] for name in step_features.KW_NAMES] == [0.0] * step_features.N_KW
    assert found["since up"] == found["since down"] == pytest.approx(np.log(CONTEXT))
    assert found["last on"] == found["last off"] == pytest.approx(np.log(CONTEXT + 1))


def test_steps_below_three_quarters_of_the_scale_do_not_count() -> None:
    kw = np.full(CONTEXT, 1.0)
    kw[-10:] = 1.2
    assert steps_of(kw, scale_kw=0.3)["step up"] == 0
    assert steps_of(kw, scale_kw=0.2)["step up"] == pytest.approx(0.2)


@examples(25)
@given(st.integers(0, 2**32 - 1), st.sampled_from((0.125, 0.5, 4.0, 32.0)))
def test_features_of_a_scaled_house_are_equal(seed: int, factor: float) -> None:
    windows = windows_of(30, seed)
    scale_kw = np.random.default_rng(seed).uniform(0.05, 1.0, len(windows))
    assert np.array_equal(
        features_of(windows * np.float32(factor), scale_kw * factor), features_of(windows, scale_kw)
    ), "powers of two, so that scaling is exact"


@examples(10)
@given(st.integers(0, 2**32 - 1), st.sampled_from((2, 7, 256, 2_048)))
def test_features_of_a_batch_equal_those_one_by_one(seed: int, n: int) -> None:
    windows = windows_of(n, seed)
    scale_kw = np.full(n, 0.17)
    whole = features_of(windows, scale_kw)
    for i in np.random.default_rng(seed).integers(0, n, 20):
        assert np.array_equal(features_of(windows[i : i + 1], scale_kw[:1])[0], whole[i])


def test_random_features_are_the_same_in_every_version() -> None:
    """Learned coefficients refer to them: another value would invalidate the state of every gateway."""
    view = RlsFeatures(CONTEXT, ["model mean"], UTC, 5)
    columns = features_of(np.array([cycling(20, 12, 7)], np.float32), np.array([0.25]))[0]
    hidden = columns[view.names.index("hidden 14") :][: len(random_features.UNITS)]
    assert (hidden >= 0).all()
    assert hidden[:6] == pytest.approx([1.784424, 1.082714, 0.285489, 3.228844, 0, 0.540471], abs=1e-5)


def test_random_features_distinguish_a_kettle_from_a_shower() -> None:
    """At 2.4 and 8.4 kW, where the mean change in five minutes is 85 W: both are far above the usual power."""
    view, kw = RlsFeatures(CONTEXT, ["model mean"], UTC, 5), np.full((2, CONTEXT), 0.2, np.float32)
    kw[:, -3:] += np.array([[2.4], [8.4]], np.float32)
    hidden = features_of(kw, np.full(2, 0.085))[:, view.first_hidden : len(view.names)]
    assert np.abs(hidden[1] - hidden[0]).max() > 1


@pytest.mark.parametrize("context", [2, 3, 31, 200])
def test_features_exist_for_any_context(context: int) -> None:
    windows = windows_of(5)[:, -context:] if context <= CONTEXT else np.pad(windows_of(5), ((0, 0), (20, 0)), "edge")
    columns = features_of(windows, np.full(5, 0.2), context)
    assert np.isfinite(columns).all()
    assert np.abs(columns).max() <= rls_model.LIMIT
