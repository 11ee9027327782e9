"""Analogs: what followed earlier moments of a window that resemble the newest one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.windows.window import WindowSpec
from gapcast_trainer.data.windows import WindowTask
from gapcast_trainer.errors import RunError
from gapcast_trainer.families import find_family
from gapcast_trainer.families.parts.analogs import COURSES, LEAST_MIN, Course, analog_features
from gapcast_trainer.families.parts.base import Design

CONTEXT = 90
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Of each course and width: changes after 1, 3 and 5 minutes, the size of the last, steps up and down, the weight.
N_FEATURES = 7
_CHANGE, _UP, _DOWN, _WEIGHT = 2, 4, 5, 6


def features_of(window_kw: F64, spread_kw: float = 1.0) -> F64:
    """The features of one window ``[T]``, ``[F]``."""
    found = analog_features(np.asarray(window_kw, np.float32)[:, np.newaxis], np.full((1, 1), spread_kw, np.float32))
    features: F64 = np.asarray(found, np.float64)[0]
    return features


def by_definition(window_kw: F64, course: Course, width: float) -> list[float]:
    """The features of one course and width, minute by minute."""

    def before(moment: int) -> F64:
        ends = [moment - place * course.step_min for place in range(course.n - 1, -1, -1)]
        means = [window_kw[end - course.step_min + 1 : end + 1].mean() for end in ends]
        course_kw: F64 = np.array(means) - window_kw[moment]
        return course_kw

    newest, sums, total = window_kw.size - 1, np.zeros(6), 0.05
    moments = range(course.length_min, newest - 4)
    for moment in moments:
        difference = float(np.square(before(moment) - before(newest)) @ course.weights)
        after = np.clip(window_kw[[moment + 1, moment + 3, moment + 5]] - window_kw[moment], -8, 8)
        steps = np.clip([5 * after[2] - 1, -5 * after[2] - 1], 0, 1)
        weight = np.exp(-difference / (2 * width**2))
        sums += weight * np.array([*after, abs(after[2]), *steps])
        total += weight
    return [*(sums / total), np.log(total / len(moments))]


def cycle(on_min: int, off_min: int, n: int, ahead: int = 0) -> F64:
    """A load of 1 kW that is on and off for so many minutes; the newest of ``n`` minutes is ``ahead`` in the cycle."""
    minute = np.arange(n) - (n - 1) + ahead
    return np.where(minute % (on_min + off_min) < on_min, 1.0, 0.0)


@given(seed=st.integers(0, 10_000), n_levels=st.integers(2, 4))
def test_analog_features_equal_their_definition(seed: int, n_levels: int) -> None:
    draw = np.random.default_rng(seed)
    window_kw = np.repeat(draw.integers(0, n_levels, CONTEXT // 3), 3) + draw.normal(0, 0.05, CONTEXT)
    expected = [by_definition(window_kw, course, width) for course in COURSES for width in course.widths]
    np.testing.assert_allclose(features_of(window_kw), np.concatenate(expected), atol=2e-3)


@pytest.mark.parametrize("ahead", [0, 4, 9, 14])
def test_analog_features_of_a_cycle_forecast_it(ahead: int) -> None:
    """The last hour of a load that cycles determines its change five minutes ahead, whether it is on or off now."""
    spread_kw = 0.2
    found = features_of(cycle(7, 8, 180, ahead), spread_kw).reshape(-1, N_FEATURES)[1]
    change_kw = cycle(7, 8, 1, ahead + 5)[0] - cycle(7, 8, 1, ahead)[0]
    assert found[_CHANGE] * spread_kw == pytest.approx(change_kw, abs=0.1)
    assert found[_UP] == pytest.approx(max(change_kw, 0), abs=0.1)
    assert found[_DOWN] == pytest.approx(max(-change_kw, 0), abs=0.1)


def test_analog_features_of_a_first_step_expect_no_change() -> None:
    """Without similar moments in the window, the weight is that of no change."""
    window_kw = np.zeros(180)
    window_kw[-3:] = 5.0
    found = features_of(window_kw).reshape(-1, N_FEATURES)
    np.testing.assert_allclose(found[:, :_WEIGHT], 0, atol=1e-3)
    n_moments = [180 - 5 - course.length_min for course in COURSES for _ in course.widths]
    np.testing.assert_allclose(found[:, _WEIGHT], np.log(0.05 / np.array(n_moments)), atol=1e-3)


@pytest.mark.parametrize("factor", [0.1, 20.0])
def test_analog_features_are_the_same_in_houses_of_any_size(factor: float) -> None:
    window_kw = np.random.default_rng(1).gamma(1.0, 1.0, 180)
    np.testing.assert_allclose(features_of(factor * window_kw, factor), features_of(window_kw), atol=1e-3)


def small(context: int = LEAST_MIN, levels: tuple[float, ...] | None = LEVELS, **hyper: Any) -> Callable[[], Any]:
    """Builds a small model with analogs."""
    sizes = {"near_min": 4, "near_units": [2], "step_min": 1, "far_units": 0, "lags": 5, "dense": 4, "head": 2}
    family, checked = find_family("multiscale", {**sizes, "relative": 3, "analogs": 3, **hyper})
    return lambda: family.build(Design(WindowTask(WindowSpec(context), (1, 5)), levels), checked)


def test_model_with_analogs_uses_them() -> None:
    """Other courses of an hour ago give another forecast only through analogs: the other layers have no weights."""
    import keras

    keras.utils.set_random_seed(2)
    model = small(60, far_dense=False)()
    for layer in model.layers:
        if layer.weights and not layer.name.startswith("analog"):
            layer.set_weights([0 * weight for weight in layer.get_weights()])
    draw = np.random.default_rng(3)
    columns = model.get_layer("analog_columns")
    columns.set_weights([draw.normal(0, 0.3, weight.shape) for weight in columns.get_weights()])
    repeating = np.asarray(cycle(4, 6, 60), np.float32)
    changed = repeating.copy()
    changed[:30] = 0.0
    one, other = (np.asarray(model(kw.reshape(1, 60, 1))["mean"]) for kw in (repeating, changed))
    assert np.abs(one - other).max() > 1e-3


def test_model_without_trained_analogs_is_the_model_before() -> None:
    """New layers add nothing: a training begins near the forecast of the model that it starts from."""
    import keras

    keras.utils.set_random_seed(4)
    before, after = small(analogs=0)(), small()()
    for layer in before.layers:
        if layer.weights:
            after.get_layer(layer.name).set_weights(layer.get_weights())
    gates = after.get_layer("analog_gates")
    gates.set_weights([0 * weight + 40.0 * (weight.ndim == 1) for weight in gates.get_weights()])
    windows: F32 = np.random.default_rng(5).gamma(1.0, 1.0, (16, LEAST_MIN, 1)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(after(windows)["mean"]), np.asarray(before(windows)["mean"]), atol=1e-5)


@pytest.mark.parametrize(
    ("context", "levels", "error"),
    [
        (LEAST_MIN - 1, LEVELS, f"analogs need a context of at least {LEAST_MIN} min, not {LEAST_MIN - 1} min"),
        (LEAST_MIN, None, "analogs need outputs.quantile_levels"),
    ],
)
def test_model_that_cannot_have_analogs_is_rejected(context: int, levels: tuple[float, ...] | None, error: str) -> None:
    with pytest.raises(RunError, match=re.escape(error)):
        small(context, levels)()


def test_model_with_analogs_but_no_relative_expert_is_rejected() -> None:
    with pytest.raises(RunError, match=re.escape("analogs (3) correct the relative expert's forecast")):
        small(relative=0)
