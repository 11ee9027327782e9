"""The trees' columns for loads that cycle: the phases of a cycle, and the analogs of the newest minute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.arrays.array_types import F64
from gapcast.core.learning.forests.cycle_features import ANALOG_NAMES, CYCLE_NAMES, analog_columns, cycle_columns
from gapcast.core.learning.online_model.analog_features import N_KW, write_analogs

CONTEXT = 180


def cycle_of(kw: F64) -> dict[str, float]:
    """Return the cycle columns of one window ``[T]``, kW, by name."""
    change = np.diff(kw.astype(np.float32))[np.newaxis, ::-1]
    return dict(zip(CYCLE_NAMES, cycle_columns(change)[0].tolist(), strict=True))


def analogs_of(kw: F64, horizon_min: int = 5) -> dict[str, float]:
    columns = analog_columns(kw.astype(np.float32)[np.newaxis], horizon_min)
    return dict(zip(ANALOG_NAMES, columns[0].tolist(), strict=True))


def phases(*lengths_min: int, low_kw: float = 0.2, high_kw: float = 2.2) -> F64:
    """Return a load that is alternately off and on for these numbers of minutes, off first."""
    return np.repeat([high_kw if i % 2 else low_kw for i in range(len(lengths_min))], lengths_min)


def by_definition(kw: F64) -> list[float]:
    """Return the cycle columns, computed minute by minute."""
    change = np.diff(kw.astype(np.float32))[::-1]
    n = len(change)
    largest = sorted(np.abs(change))[-2:][0]
    smallest = max(np.float32(0.15), 0.5 * largest)
    direction = [0 if abs(kw_step) < smallest else int(np.sign(kw_step)) for kw_step in change]
    begins = [i for i in range(n) if direction[i] and (i == n - 1 or direction[i + 1] != direction[i])][:9]
    ages = begins + [n] * (9 - len(begins))
    lengths = [ages[i + 1] - ages[i] if ages[i + 1] < n else n for i in range(8)]
    of_kind = [length for length in lengths[1::2] if length < n]
    mean = sum(of_kind) / len(of_kind) if of_kind else n
    return [direction[ages[0]] if begins else 0, ages[0], *lengths[:5], ages[0] - mean, ages[0] - lengths[1]]


@given(st.integers(0, 2**32 - 1), st.sampled_from((2, 3, 20, 60, CONTEXT)))
def test_cycles_equal_their_definition(seed: int, context: int) -> None:
    draw = np.random.default_rng(seed)
    kw = np.repeat(draw.gamma(1.0, 1.0, context), draw.integers(1, 12, context))[:context]
    kw += draw.normal(0, 0.02, context)
    assert list(cycle_of(kw).values()) == pytest.approx(by_definition(kw), abs=1e-4)


def test_cycle_has_the_lengths_of_its_phases() -> None:
    found = cycle_of(phases(90, 7, 20, 9, 22, 5))
    assert (found["phase direction"], found["minutes in phase"]) == (1, 4)
    assert [found[f"phase {back}"] for back in range(1, 6)] == [22, 9, 20, 7, 152]
    assert (found["phase longer than last"], found["phase longer than mean"]) == (4 - 9, 4 - 8)


def test_small_steps_beside_large_ones_are_no_phases() -> None:
    kw = phases(90, 7, 20, 9, 22, 5)
    kw[130:140] += 0.5
    assert cycle_of(kw) == cycle_of(phases(90, 7, 20, 9, 22, 5))


def test_one_large_step_does_not_hide_the_smaller_ones() -> None:
    kw = phases(90, 7, 20, 9, 22, 5)
    kw[:10] += 9
    assert cycle_of(kw)["phase 2"] == 9


def test_step_over_two_minutes_is_one() -> None:
    kw = phases(100, 10, 20)
    kw[100] = 1.2
    found = cycle_of(kw)
    assert [found["phase direction"], found["minutes in phase"], found["phase 1"]] == [-1, 19, 10]


def test_constant_power_has_no_phases() -> None:
    assert list(cycle_of(np.full(60, 1.5)).values()) == [0, 59, 59, 59, 59, 59, 59, 0, 0]


@given(st.integers(0, 2**32 - 1), st.sampled_from((1, 5, 30)))
def test_mean_changes_of_analogs_equal_the_online_models(seed: int, horizon_min: int) -> None:
    """With the minimum spread of a scale of 0.1 kW."""
    windows = np.random.default_rng(seed).gamma(1.0, 1.0, (3, CONTEXT)).astype(np.float32)
    expected = np.empty((3, N_KW), np.float32)
    write_analogs(windows, np.full(3, 0.1, np.float32), horizon_min, expected)
    assert analog_columns(windows, horizon_min)[:, :N_KW] == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("ahead", "rising", "falling"), [(0, 0, 0), (3, 0, 1), (8, 0, 0), (11, 1, 0)])
def test_analogs_of_a_cycle_distinguish_rises_from_falls(ahead: int, rising: float, falling: float) -> None:
    """On for 7 and off for 8 minutes: the newest minute is ``ahead`` in the cycle."""
    minute = np.arange(CONTEXT) - (CONTEXT - 1) + ahead
    found = analogs_of(np.where(minute % 15 < 7, 1.0, 0.0))
    assert (found["analogs rising"], found["analogs falling"]) == pytest.approx((rising, falling), abs=0.15)
    assert found["analogs absolute"] == pytest.approx(rising + falling, abs=0.15)
    assert found["analogs found"] > 5


def test_window_like_no_other_moment_has_no_analogs() -> None:
    kw = np.random.default_rng(1).normal(0.3, 0.02, CONTEXT)
    kw[-20:] += 4 * np.arange(20) / 20
    assert analogs_of(kw)["analogs found"] < 0.5
