"""Rows of training data: the minutes after a window, and the data known before it."""

from __future__ import annotations

import numpy as np
import pytest

from gapcast.core.arrays.array_types import F64
from gapcast.core.streams.quarters import STEPS, fill_unknown, history_windows
from gapcast.core.windows.window import WindowSpec
from gapcast_trainer.training.outlook.house_windows import HouseWindows

FIRST, LEADS_MIN = 1_000_003, (1, 5, 60)


def house_of(kw: F64) -> HouseWindows:
    return HouseWindows.from_series(FIRST, kw, WindowSpec(30))


@pytest.fixture(scope="module")
def kw() -> F64:
    kw = np.random.default_rng(1).gamma(1.0, 1.0, 3_000)
    kw[1_000:1_002], kw[1_500:1_600] = np.nan, np.nan
    return kw


def test_outcomes_are_the_minutes_after_the_window(kw: F64) -> None:
    house = house_of(kw)
    row = np.array([200])
    origin = int(house.windows.origin[200])
    point, until = house.outcomes_kw(row, LEADS_MIN)
    assert point[0] == pytest.approx([kw[origin + lead] for lead in LEADS_MIN])
    assert until[0] == pytest.approx([kw[origin + 1 : origin + 1 + lead].mean() for lead in LEADS_MIN], rel=1e-6)
    assert house.windows_kw(row)[0, -1] == pytest.approx(kw[origin])


def test_outcomes_with_a_missing_minute_are_unknown(kw: F64) -> None:
    house = house_of(kw)
    row = np.flatnonzero(house.windows.origin == 997)
    point, until = house.outcomes_kw(row, LEADS_MIN)
    assert np.isnan(point[0]).tolist() == [False, False, False]
    assert np.isnan(until[0]).tolist() == [False, True, True]


def test_outcomes_of_filled_minutes_are_unknown(kw: F64) -> None:
    """As in `evaluate`, windows contain filled minutes, but outcomes do not."""
    outcome_kw = kw.copy()
    outcome_kw[205] = np.nan
    house = HouseWindows.from_series(FIRST, kw, WindowSpec(30), outcome_kw)
    point, until = house.outcomes_kw(np.flatnonzero(house.windows.origin == 200), LEADS_MIN)
    assert np.isnan(point[0]).tolist() == [False, True, False]
    assert np.isnan(until[0]).tolist() == [False, True, True]
    assert not np.isnan(house.windows_kw(np.flatnonzero(house.windows.origin == 210))).any()


def test_outcomes_beyond_the_end_are_unknown(kw: F64) -> None:
    point, until = house_of(kw).outcomes_kw(np.array([len(house_of(kw).windows) - 1]), LEADS_MIN)
    assert np.isnan(point).all()
    assert np.isnan(until).all()


def test_history_equals_the_services(kw: F64) -> None:
    house = house_of(kw)
    rows = np.arange(0, len(house.windows), 37)
    mean_kw = house.windows_kw(rows).mean(axis=1)
    expected = history_windows(house.quarters, house.observed_minute[rows], mean_kw)
    assert np.array_equal(fill_unknown(house.history_kw(rows), mean_kw), expected)


def test_inputs_do_not_change_with_later_minutes(kw: F64) -> None:
    """No peeking: other minutes after the observed one leave window and history as they are."""
    changed = kw.copy()
    changed[2_001:] = 99.0
    before, after = house_of(kw), house_of(changed)
    rows = np.flatnonzero(before.windows.origin <= 2_000)
    assert np.array_equal(before.windows_kw(rows), after.windows_kw(rows))
    assert np.array_equal(before.history_kw(rows), after.history_kw(rows), equal_nan=True)
    assert before.history_kw(rows).shape == (rows.size, STEPS)
