"""Lasting changes of a device's errors are detected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores import drift as module
from gapcast.core.learning.scores.drift import MIN_OUTCOMES_PER_DAY, QUIET_DAYS, Drift, ErrorChange
from gapcast.core.learning.scores.drift_state import N_DAYS, PRIOR_DEVIATION
from tests.core.learning.outcomes import NAN, START, outcomes, streams
from tests.support.library_choice import build

DAY_MIN = 1440
DAY_0 = START // DAY_MIN
FEW = 5
N = 3  # outcomes that make a day here
SIGNS: tuple[tuple[Literal["grew", "shrank"], int], ...] = (("grew", 1), ("shrank", -1))


def days(drift: Drift, errors_kw: Sequence[float], first: int = DAY_0, row: int = 0) -> list[ErrorChange]:
    """Add a day of each error to ``drift``, with the minimum number of outcomes."""
    changes: list[ErrorChange] = []
    for day, error_kw in enumerate(errors_kw, first):
        for i in range(N):
            changes += drift.add(outcomes([row], day * DAY_MIN + i, 2.0, (9.0, 2.0 + error_kw, NAN, NAN)))
    return changes


def wavy(n: int, kw: float = 0.1) -> list[float]:
    """Return ``n`` days of typical errors: a weekly pattern and noise."""
    chance = np.random.default_rng(5).normal(0, 0.25, n)
    return [kw * math.exp(0.1 * math.sin(day * 0.9) + chance[day]) for day in range(n)]


class PlainDrift:
    """The same rules for one device, computed from all its outcomes, without arrays."""

    def __init__(self) -> None:
        self.day, self.today = -1, list[float]()
        self.start()

    def start(self) -> None:
        self.mean, self.variance, self.n = 0.0, PRIOR_DEVIATION**2, 0
        self.runs: dict[str, tuple[float, list[float]]] = {"grew": (0.0, []), "shrank": (0.0, [])}

    def add(self, row: int, minute: int, error_kw: float) -> list[ErrorChange]:
        changes: list[ErrorChange] = []
        day = minute // DAY_MIN
        if day != self.day:
            if day > self.day and len(self.today) >= N:
                changes = self.add_day(row, minute, math.log(max(sum(self.today) / len(self.today), 0.005)))
            self.day, self.today = day, []
        self.today.append(error_kw)
        return changes

    def add_day(self, row: int, minute: int, level: float) -> list[ErrorChange]:
        changes: list[ErrorChange] = []
        deviation, far = max(math.sqrt(self.variance), 0.15), level - self.mean
        within = min(max(far, -3 * deviation), 3 * deviation)
        if self.n >= QUIET_DAYS:
            for direction, sign in SIGNS:
                cusum, run = self.runs[direction]
                cusum = max(cusum + sign * within / deviation - module.K, 0)
                self.runs[direction] = (cusum, [*run, far] if cusum else [])
                if cusum > module.H:
                    n = len(self.runs[direction][1])
                    factor = math.exp(sum(self.runs[direction][1]) / n)
                    changes.append(ErrorChange(row, minute, direction, factor, n))
        if changes:
            self.start()
            return changes
        self.mean += (far if self.n == 0 else within) / min(self.n + 1, 60)
        if self.n:
            self.variance += (within**2 - self.variance) / min(self.n + 7, 60)
        self.n = min(self.n + 1, 60)
        return changes


def order_of(change: ErrorChange) -> tuple[int, int, str]:
    return change.minute, change.row, change.direction


LEVELS = st.lists(st.one_of(st.floats(0, 2), st.sampled_from([0.0, 0.1, 0.11, 1e6])), max_size=40)


@pytest.mark.long
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4), st.floats(0, 2), st.booleans()), max_size=60), LEVELS)
def test_drift_matches_the_slow_reference(
    compiled: bool, steps: list[tuple[int, int, float, bool]], levels: list[float]
) -> None:
    """Several devices at once, with short, missing and repeated days."""
    drift, slow = build(Drift, FEW, N, compiled=compiled), [PlainDrift() for _ in range(FEW)]
    day = DAY_0
    calm = [(1, 0, level, True) for level in levels]
    for moved, alone, level, whole in calm + steps:
        day += moved
        errors = [level * (1 + 0.1 * row) for row in range(FEW)]
        n = N if whole else N - 1
        changes: list[ErrorChange] = []
        expected: list[ErrorChange] = []
        for i in range(n):
            rows = [alone] if i and not whole else list(range(FEW))
            minute = day * DAY_MIN + i
            changes += drift.add(outcomes(rows, minute, 0.0, [(0.0, errors[row], 0.0, 1.0) for row in rows]))
            for row in rows:
                expected += slow[row].add(row, minute, errors[row])
        for found, wanted in zip(sorted(changes, key=order_of), sorted(expected, key=order_of), strict=True):
            assert (order_of(found), found.n_days) == (order_of(wanted), wanted.n_days)
            assert found.factor == pytest.approx(wanted.factor, rel=1e-6)


def test_drift_reports_a_lasting_change_once(compiled: bool) -> None:
    for factor, direction in ((3.0, "grew"), (0.4, "shrank")):
        drift = build(Drift, FEW, N, compiled=compiled)
        errors = np.array(wavy(120))
        errors[60:] *= factor
        (change,) = days(drift, errors.tolist())
        assert change.direction == direction
        assert change.factor == pytest.approx(factor, rel=0.5)
        assert change.row == 0
        found_on = change.minute // DAY_MIN - DAY_0  # the first minute of the day after the one that changes
        assert 61 <= found_on <= 66
        assert 1 <= change.n_days <= 7


def test_drift_first_week_reports_nothing(compiled: bool) -> None:
    errors = [0.1, 0.1, 0.1, 5.0, 5.0, 5.0, 5.0]
    assert days(build(Drift, FEW, N, compiled=compiled), [*errors, 5.0]) == []


def test_drift_one_odd_day_reports_nothing(compiled: bool) -> None:
    errors = wavy(40)
    errors[20] *= 1_000
    errors[30] /= 1_000
    assert days(build(Drift, FEW, N, compiled=compiled), errors) == []


def test_drift_constant_errors_report_nothing(compiled: bool) -> None:
    assert days(build(Drift, FEW, N, compiled=compiled), [0.0] * 60) == []
    assert len(days(build(Drift, FEW, N, compiled=compiled), [0.1] * 30 + [0.0] * 60)) == 1


def test_drift_small_change_after_equal_days_reports_nothing(compiled: bool) -> None:
    assert days(build(Drift, FEW, N, compiled=compiled), [0.1] * 700 + [0.11] * 30) == []


def test_drift_day_needs_600_outcomes(compiled: bool) -> None:
    for n, judged in ((MIN_OUTCOMES_PER_DAY - 1, 0), (MIN_OUTCOMES_PER_DAY, 1)):
        drift = build(Drift, 1, compiled=compiled)
        for i in range(n):
            drift.add(outcomes([0], START + i, 1.0))
        drift.add(outcomes([0], START + DAY_MIN, 1.0))
        assert drift.columns(range(1))["state"][0, N_DAYS] == judged


def test_drift_drops_the_open_day_when_time_goes_back(compiled: bool) -> None:
    drift = build(Drift, 1, N, compiled=compiled)
    days(drift, [0.1, 0.1])
    kept = drift.columns(range(1))["state"]
    drift.add(outcomes([0], START - DAY_MIN, 1.0))
    assert np.array_equal(kept, drift.columns(range(1))["state"])
    assert drift.columns(range(1))["today"][0, 0] == 1


def test_drift_ignores_unknown_rows_and_resets_forgotten_ones(compiled: bool) -> None:
    drift = build(Drift, 40, N, compiled=compiled)
    assert drift.add(outcomes([], START, [])) == []
    assert drift.add(outcomes([40, 41], START, 1.0)) == []
    days(drift, wavy(10), row=39)
    days(drift, wavy(10), row=2)
    drift.forget(39)
    drift.forget(1_000)
    columns, new = drift.columns(range(40)), build(Drift, 40, N, compiled=compiled).columns(range(40))
    for name in new:
        assert np.array_equal(columns[name][39], new[name][39])
        assert not np.array_equal(columns[name][2], new[name][2])


@pytest.mark.long
@given(streams(), st.integers(0, 25))
def test_drift_restored_continues_exactly(compiled: bool, batches: list[Outcomes], at: int) -> None:
    one, before = build(Drift, FEW, 1, compiled=compiled), build(Drift, FEW, 1, compiled=compiled)
    changes = [change for batch in batches for change in one.add(batch)]
    found = [change for batch in batches[:at] for change in before.add(batch)]
    after = build(Drift, FEW, 1, compiled=compiled)
    after.restore_columns(before.columns(range(FEW)))
    found += [change for batch in batches[at:] for change in after.add(batch)]
    assert found == changes
    expected, columns = one.columns(range(FEW)), after.columns(range(FEW))
    assert all(columns[name].tobytes() == expected[name].tobytes() for name in expected)


@pytest.mark.long
@given(streams(max_step_min=3_000, huge=1e30))
def test_drift_state_is_finite_for_any_stream(compiled: bool, batches: list[Outcomes]) -> None:
    drift = build(Drift, FEW, 1, compiled=compiled)
    changes = [change for batch in batches * 3 for change in drift.add(batch)]
    assert all(math.isfinite(change.factor) and change.factor > 0 for change in changes)
    assert all(np.isfinite(column).all() for column in drift.columns(range(FEW)).values())


def test_drift_columns_are_a_copy(compiled: bool) -> None:
    drift = build(Drift, 1, N, compiled=compiled)
    drift.add(outcomes([0], START, 1.0))
    columns = drift.columns(range(1))
    drift.add(outcomes([0], START + 1, 1.0))
    assert columns["today"][0, 0] == 1
    assert drift.columns(range(1))["today"][0, 0] == 2


def test_drift_restore_rejects_bad_columns() -> None:
    with pytest.raises(ValueError, match="shape"):
        Drift(5).restore_columns({**Drift(5).columns(range(3)), "today": np.zeros((3, 5))})
