"""The contract of every predictor: see :class:`gapcast.core.models.predictor.Predictor`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.models.predictor import Predictor, history_steps_of, run_model
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.streams.quarters import history_windows, quarter_means
from gapcast.core.windows.features import DERIVED, GAP, MEASURED, assemble, measured_in, problem_with
from gapcast.predictors.baselines import Persistence, Trend
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.tflite import TflitePredictor
from tests.predictors.conftest import predict, predictor_classes
from tests.support.examples import examples
from tests.support.models import every_feature_model, shipped_names

#: Kernels differ in the last bits between batch sizes: far below a watt.
TOLERANCE_KW = 1e-5


def windows_for(predictor: Predictor, n: int, seed: int = 1) -> F32:
    """Return windows like a household's: a changing level, with some appliances added."""
    random = np.random.default_rng(seed)
    context = predictor.spec.context
    level = random.gamma(2.0, 0.4, (n, 1)) + np.cumsum(random.normal(0, 0.1, (n, context)), axis=1)
    gap_kw = np.abs(level) + (random.random((n, context)) < 0.1) * random.uniform(0, 3, (n, context))
    names = measured_in(predictor.features)
    others = random.uniform(-1, 1, (n, context, len(names) - 1))
    measured = np.concatenate((gap_kw[:, :, np.newaxis], others), axis=2).astype(np.float32)
    return assemble(measured, random.integers(20_000_000, 30_000_000, n), predictor.features)


def test_predictor_search_finds_all() -> None:
    assert {Persistence, Trend, TflitePredictor} <= set(predictor_classes())
    assert shipped_names(), "no model is shipped"


def test_predictor_has_an_identity(predictor: Predictor) -> None:
    assert predictor.name
    assert predictor.version
    assert predictor.spec.context >= 2
    assert isinstance(predictor.features, tuple)
    assert problem_with(predictor.features) is None
    leads = predictor.lead_times_min
    assert isinstance(leads, tuple)
    assert list(leads) == sorted(set(leads))
    assert leads[0] >= 1
    if history_steps_of(predictor):
        assert 5 in leads, "the main forecast can be of 5 minutes"
    else:
        assert leads[-1] == 5, "5 minutes ahead is the horizon of all forecasts"


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 31, 32, 33, 40, 41, 256, 257, 600])
def test_predictor_batch_equals_single_rows(predictor: Predictor, n: int) -> None:
    windows = windows_for(predictor, n)
    batch = predict(predictor, windows)
    n_leads = len(predictor.lead_times_min)
    assert batch.mean.shape == (n, n_leads)
    assert batch.mean.dtype == np.float32
    alone = np.concatenate([predict(predictor, windows[i : i + 1]).mean for i in range(n)])
    np.testing.assert_allclose(batch.mean, alone, rtol=0, atol=TOLERANCE_KW)


def test_predictor_quantiles_match_their_levels(predictor: Predictor) -> None:
    prediction = predict(predictor, windows_for(predictor, 40))
    levels = predictor.quantile_levels
    if levels is None:
        assert (prediction.quantiles, prediction.quantiles_to) == (None, None)
        return
    kinds = [prediction.quantiles, *([prediction.quantiles_to] if prediction.mean_to is not None else [])]
    for found in kinds:
        assert found is not None
        assert found.shape == (40, len(predictor.lead_times_min), len(levels))
        assert np.all(np.diff(found, axis=2) >= 0), "quantiles cross"


def test_predictor_rows_are_independent(predictor: Predictor) -> None:
    windows = windows_for(predictor, 20)
    before = predict(predictor, windows).mean
    changed = windows.copy()
    changed[::2] *= 50
    np.testing.assert_allclose(predict(predictor, changed).mean[1::2], before[1::2], rtol=0, atol=TOLERANCE_KW)


def test_predictor_is_stateless(predictor: Predictor) -> None:
    windows = windows_for(predictor, 300)
    first = predict(predictor, windows[:5])
    again_after = [predict(predictor, windows[n:]) for n in (299, 0, 290)]
    second = predict(predictor, windows[:5])
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_allclose(again_after[1].mean[:5], first.mean, rtol=0, atol=TOLERANCE_KW)


def test_predictor_result_is_not_reused(predictor: Predictor) -> None:
    windows = windows_for(predictor, 8)
    first = predict(predictor, windows).mean
    kept = first.copy()
    predict(predictor, windows * 3)
    np.testing.assert_array_equal(first, kept)


def test_predictor_does_not_write_its_input(predictor: Predictor) -> None:
    windows = windows_for(predictor, 9)
    kept = windows.copy()
    windows.setflags(write=False)
    predict(predictor, windows)
    np.testing.assert_array_equal(windows, kept)


def test_predictor_accepts_a_view(predictor: Predictor) -> None:
    windows = windows_for(predictor, 40)
    mean = predict(predictor, windows).mean
    np.testing.assert_allclose(predict(predictor, windows[::2]).mean, mean[::2], rtol=0, atol=TOLERANCE_KW)


def test_predictor_is_thread_safe(predictor: Predictor) -> None:
    sizes = (1, 3, 9, 40, 100, 257, 2, 8)
    requests = [windows_for(predictor, n, seed=seed) for seed, n in enumerate(sizes * 4)]
    one_by_one = [predict(predictor, windows).mean for windows in requests]
    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(lambda windows: predict(predictor, windows).mean, requests))
    for expected, found in zip(one_by_one, at_once, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.long
@examples(60)
@given(drawn=st.data())
def test_predictor_power_within_limits_is_finite(predictor: Predictor, drawn: st.DataObject) -> None:
    limits = Limits()
    powers = st.floats(limits.min_kw, limits.max_kw, width=32)
    context = predictor.spec.context
    rows = drawn.draw(st.lists(st.lists(powers, min_size=context, max_size=context), min_size=1, max_size=3))
    windows = np.repeat(np.asarray(rows, dtype=np.float32)[:, :, np.newaxis], len(predictor.features), axis=2)
    assert np.isfinite(predict(predictor, windows).mean).all()


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-45, -1e-30, 1e6, -1e6])
def test_predictor_odd_finite_power_is_finite(predictor: Predictor, value: float) -> None:
    windows = windows_for(predictor, 3)
    windows[:, :, 0] = value
    assert np.isfinite(predict(predictor, windows).mean).all()


def test_predictor_in_an_engine_matches_its_windows(predictor: Predictor) -> None:
    context, channels = predictor.spec.context, measured_in(predictor.features)
    draw = np.random.default_rng(2)
    n = context + 40
    values = np.column_stack([windows_for(predictor, n)[:, -1, 0], *draw.uniform(0, 9, (len(channels) - 1, n))])
    first = 21_000_000
    engine = Engine(predictor)
    readings = [
        Reading("home", first + i, row[0], measured=dict(zip(channels, row, strict=True)))
        for i, row in enumerate(values.tolist())
    ]
    forecasts = [engine.forecast(engine.accept([reading]), 0) for reading in readings]
    assert [len(one) for one in forecasts] == [0] + [1] * (len(readings) - 1)
    whole = np.stack([values[end - context : end] for end in range(context, n + 1)]).astype(np.float32)
    minutes = first + np.arange(context - 1, n)
    inputs = assemble(whole, minutes, predictor.features)
    fill_kw = inputs[:, :, 0].mean(axis=1)
    steps = history_steps_of(predictor)
    history = history_windows(quarter_means(values[:, 0], first), minutes, fill_kw, steps) if steps else None
    found = [one.gap_kw[0] for one in forecasts[context - 1 :]]
    expected = run_model(predictor, inputs, history).mean[:, -1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * TOLERANCE_KW)


def test_predictors_include_one_with_every_feature() -> None:
    assert load_model(every_feature_model()).features == (*MEASURED, *DERIVED)
    assert Persistence().features == Trend().features == (GAP,)


def test_baselines_persistence_and_trend_values() -> None:
    line = (np.arange(30, dtype=np.float32) * 0.1)[np.newaxis, :, np.newaxis]
    assert Persistence().predict(line).mean[0, 0] == line[0, -1, 0]
    assert Trend().predict(line).mean[0, 0] == pytest.approx(3.4, abs=1e-5)
