"""The tables of the loads' changes, their cells, and other references of stored state: computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.arrays.array_types import I64
from gapcast.core.learning.submeters import load_tables
from gapcast.core.learning.submeters.submeter_features import N_CELLS, load_features
from gapcast.core.learning.submeters.submetered_model import _random_weights

ROWS = np.array([1])


def cells_of(*cells: int) -> I64:
    """Return the cells of the three tables of a single load."""
    return np.array([[cells]])


def test_tables_learn_what_the_tables_before_them_missed() -> None:
    tables = np.stack([load_tables.initial_tables(1)] * 2)
    at, change_kw = cells_of(7, 7, 7), np.array([[1.2]])
    assert load_tables.expected_changes(tables, ROWS, at).tolist() == [[0.0]]
    load_tables.learn_changes(tables, ROWS, at, change_kw)
    assert load_tables.expected_changes(tables, ROWS, at) == pytest.approx(3 * 1.2 / (5 + 1))
    load_tables.learn_changes(tables, ROWS, at, change_kw)
    missed = 1.2, 1.2 - 0.2, 1.2 - 0.4  # by each table, of which each expected 0.2
    assert load_tables.expected_changes(tables, ROWS, at) == pytest.approx((3 * 1.2 + sum(missed)) / (5 + 2))
    assert not tables[0].any(), "the tables of another device"


def test_tables_of_a_load_have_cells_of_their_own() -> None:
    tables = load_tables.initial_tables(2)[np.newaxis]
    last = [n - 1 for n in N_CELLS]
    cells = np.array([[last, [0, 0, 0]]])
    load_tables.learn_changes(tables, np.array([0]), cells, np.array([[1.0, -1.0]]))
    first = np.cumsum((0, *N_CELLS))
    assert np.flatnonzero(tables[0, 0, :, 1]).tolist() == (first[1:] - 1).tolist()
    assert np.flatnonzero(tables[0, 1, :, 1]).tolist() == first[:-1].tolist()
    assert load_tables.expected_changes(tables, np.array([0]), cells) == pytest.approx(np.array([[0.5, -0.5]]))


def test_tables_learn_nothing_from_a_load_without_a_value() -> None:
    tables = load_tables.initial_tables(2)[np.newaxis]
    load_tables.learn_changes(tables, np.array([0]), np.zeros((1, 2, 3), np.int64), np.array([[np.nan, 1.0]]))
    assert not tables[0, 0].any()
    assert np.isfinite(tables).all()
    assert tables[0, 1].any()


def test_tables_remember_3000_outcomes() -> None:
    tables = np.stack([load_tables.initial_tables(1)] * 2)
    at = cells_of(0, 0, 0)
    tables[1, 0, 0] = 3_000.0, 3_000.0  # of one kW each
    load_tables.learn_changes(tables, ROWS, at, np.array([[-1.0]]))
    assert tables[1, 0, 0].tolist() == pytest.approx([2_999 * 3_000 / 3_001, 3_000.0])


def test_load_cells_of_a_cycling_load_by_hand() -> None:
    """Cells are stored by their numbers: other bins would assign the learned changes to other states of the load."""
    kw = np.zeros((1, 120, 2), dtype=np.float32)
    kw[:, :, 0] = 1.0
    kw[:, 60:112, 1] = 2.0  # until 8 minutes ago
    kw[:, 116:, 1] = 0.6  # since 4 minutes
    power, up, down = 4, 3, 7  # from 0.5 kW; 3 and 7 minutes between the steps and the last minute
    of_10, of_30, of_90 = 4, 6, 5  # means of 0.64, 1.54 and 1.18 kW
    last_5, before = 4, 6  # maxima of the 5 minutes before the last (0.6 kW), and of the 14 before them (2 kW)
    expected = (
        (power * 17 + up) * 17 + down,
        ((power * 8 + of_10) * 8 + of_30) * 8 + of_90,
        (power * 8 + last_5) * 8 + before,
    )
    assert load_features(kw, 5).cells[0, 0].tolist() == list(expected)


@pytest.mark.parametrize(("step_kw", "minutes"), [(0.14, 19), (0.16, 3), (-0.14, 19), (-0.16, 3)])
def test_change_of_150_watts_is_an_edge(step_kw: float, minutes: int) -> None:
    kw = np.full((1, 20, 2), (3.0, 1.0), dtype=np.float32)
    kw[:, -4:, 1] += step_kw
    since = np.expm1(load_features(kw, 5).unitless[0, 0, :2] * np.log1p(20))
    assert since[int(step_kw < 0)] == pytest.approx(minutes)
    assert since[int(step_kw > 0)] == pytest.approx(19), "no edge in the other direction"


def test_random_weights_never_change() -> None:
    """Random weights are not stored: with others, each restart would make the learned coefficients meaningless."""
    weights, offsets = _random_weights(20)
    assert np.flatnonzero(weights[:, 0]).tolist() == [1, 10, 16, 18]
    assert weights[[1, 10, 16, 18], 0] == pytest.approx([-0.4821, 0.5988, -0.2925, 0.0397], abs=1e-4)
    assert weights[[1, 9, 12, 15], -1] == pytest.approx([-1.1788, 1.0523, -0.3264, -1.1958], abs=1e-4)
    assert (np.count_nonzero(weights, axis=0) == 4).all()
    assert offsets[[0, -1]] == pytest.approx([0.8652, -1.1279], abs=1e-4)


def test_load_cells_begin_at_the_minutes_and_powers_of_stored_tables() -> None:
    n = 125
    kw = np.ones((n, 130, 2), dtype=np.float32)
    for minutes in range(n):
        kw[minutes, : -1 - minutes, 1] = 0.0  # on for so many complete minutes
    up = load_features(kw, 5).cells[:, 0, 0] // 17 % 17
    assert (np.flatnonzero(np.diff(up)) + 1).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 25, 35, 60, 120]
    watts = np.arange(0, 2_500, 10)
    kw = np.full((len(watts), 130, 2), watts[:, np.newaxis, np.newaxis] / 1_000, dtype=np.float32)
    power = load_features(kw, 5).cells[:, 0, 0] // 17 // 17
    assert watts[np.flatnonzero(np.diff(power)) + 1].tolist() == [30, 100, 250, 500, 900, 1_400, 2_200]
