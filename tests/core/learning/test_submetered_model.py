"""The model of a device's loads by itself: its columns, and what it learns from an outcome."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F32
from gapcast.core.learning.online_model import rls_model
from gapcast.core.learning.submeters import load_tables
from gapcast.core.learning.submeters.submeter_features import N_KW, LoadFeatures, load_features
from gapcast.core.learning.submeters.submetered_model import SubmeteredForecasts, SubmeteredModel, _random_weights

HORIZON_MIN, MINUTE = 3, 100
N_LOADS, N_BASE = 2, 1
#: Inputs with and without a unit: for each load the power, its changes and the sum of its tables, then three more.
N_KW_INPUTS, N_INPUTS = N_LOADS * (N_KW + 1), N_LOADS * (N_KW + 4)
ROWS = np.array([7, 2])
SCALE_KW = np.array([0.5, 2.0])


@pytest.fixture
def model() -> SubmeteredModel:
    return SubmeteredModel(("base",), N_LOADS - 1, HORIZON_MIN, (0, 0))


def loads_of(submeter_kw: float = 1.0) -> LoadFeatures:
    """Two devices with one submeter each."""
    kw = np.random.default_rng(1).uniform(0.0, 2.0, (2, 30, 2)).astype(np.float32)
    kw[:, -1, 1] *= submeter_kw
    return load_features(kw, HORIZON_MIN)


def forecast(model: SubmeteredModel, loads: LoadFeatures) -> SubmeteredForecasts:
    base: F32 = np.array([[0.3], [-0.4]], dtype=np.float32)
    made = model.forecast(ROWS, base, loads, SCALE_KW)
    assert made is not None
    return made


def test_submetered_columns_are_powers_in_units_of_the_scale_and_relus(model: SubmeteredModel) -> None:
    loads = loads_of()
    columns = forecast(model, loads).columns
    inputs = columns[:, N_BASE : N_BASE + N_INPUTS]
    kw = np.concatenate((loads.columns_kw, np.zeros((2, N_LOADS, 1))), axis=2)  # nothing is in the tables yet
    expected = (kw / SCALE_KW[:, np.newaxis, np.newaxis]).reshape(2, -1), loads.unitless.reshape(2, -1)
    np.testing.assert_allclose(inputs, np.concatenate(expected, axis=1), rtol=1e-6)
    assert columns[:, 0].tolist() == pytest.approx([0.3, -0.4])
    weights, offsets = _random_weights(N_INPUTS)
    compressed = np.concatenate((np.arcsinh(expected[0]), expected[1] * 4 - 2), axis=1)
    relus = np.maximum(compressed @ weights + offsets, 0)
    np.testing.assert_allclose(columns[:, N_BASE + N_INPUTS : model.n_columns], relus, rtol=1e-4, atol=1e-5)


def test_submetered_columns_of_an_absurd_power_are_clipped(model: SubmeteredModel) -> None:
    columns = forecast(model, loads_of(1e6)).columns[:, N_BASE : N_BASE + N_KW_INPUTS]
    assert np.abs(columns).max() == rls_model.LIMIT


def test_submetered_model_learns_the_outcome_of_its_own_minute(model: SubmeteredModel) -> None:
    """Only the second device, whose reading arrives, learns, in units of the scale, from the inputs of its forecast."""
    loads, actual_kw, last_kw, change_kw = loads_of(), np.array([2.5]), np.array([9.0, 1.0]), np.array([[0.7, np.nan]])
    made = forecast(model, loads)
    model.store(made, np.array([MINUTE, MINUTE]), last_kw, SCALE_KW)
    before = {name: array.copy() for name, array in model.state.arrays.items()}
    model.learn(ROWS[1:], np.array([MINUTE + HORIZON_MIN - 1]), actual_kw, change_kw, 0.9)
    model.learn(np.array([99]), np.array([MINUTE + HORIZON_MIN]), actual_kw, change_kw, 0.9)
    assert all(np.array_equal(model.state.arrays[name], array) for name, array in before.items())

    model.learn(ROWS[1:], np.array([MINUTE + HORIZON_MIN]), actual_kw, change_kw, 0.9)
    first, second = made.rows
    expected = {name: before[name][second : second + 1] for name in rls_model.STATE}
    outcome = (actual_kw - last_kw[1:]) / SCALE_KW[1:]
    assert rls_model.update(expected, made.columns[1:], outcome, np.zeros(1), 0.9) is None
    for name, values in expected.items():
        np.testing.assert_array_equal(model.state.arrays[name][second], values[0])
    tables = before["tables"].copy()
    load_tables.learn_changes(tables, made.rows[1:], made.cells[1:], change_kw)
    np.testing.assert_array_equal(model.state.arrays["tables"], tables)
    assert model.state.arrays["n_outcomes"][[first, second]].tolist() == [0, 1]

    learned = model.state.arrays["coefficients"].copy()
    model.learn(ROWS[1:], np.array([MINUTE + HORIZON_MIN]), actual_kw, change_kw, 0.9)
    assert np.array_equal(model.state.arrays["coefficients"], learned), "an outcome is learned once"


def test_submetered_forecast_is_also_of_devices_that_had_a_submeter(model: SubmeteredModel) -> None:
    unknown = loads_of(np.nan)
    assert model.forecast(ROWS, np.zeros((2, 1), np.float32), unknown, SCALE_KW) is None
    only_first = loads_of()
    only_first.unitless[1, 0, 2] = 1
    assert forecast(model, only_first).places.tolist() == [0]
    assert forecast(model, unknown).places.tolist() == [0]
