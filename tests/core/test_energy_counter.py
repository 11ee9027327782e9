"""Energy counters: their differences are the power."""

from __future__ import annotations

import pytest

from gapcast.core.meters.energy_counter import EnergyCounter
from gapcast.core.meters.minutes import SampleResult

MINUTE = 60_000


def test_counter_difference_gives_the_mean_power() -> None:
    counter = EnergyCounter([1], hold_ms=2 * MINUTE)
    assert counter.add(0, (10.0,)) is SampleResult.TAKEN
    assert counter.mean_kw is None
    assert counter.add(MINUTE, (10.02,)) is SampleResult.TAKEN
    assert counter.mean_kw == pytest.approx(1.2)


def test_counter_subtracts_exported_energy() -> None:
    counter = EnergyCounter([1, -1], hold_ms=2 * MINUTE)
    counter.add(0, (10.0, 5.0))
    counter.add(MINUTE, (10.01, 5.03))
    assert counter.mean_kw == pytest.approx(-1.2)
    assert counter.n_resets == 0


def test_counter_that_falls_has_been_reset() -> None:
    counter = EnergyCounter([1, -1], hold_ms=2 * MINUTE)
    counter.add(-MINUTE, (9.9, 5.0))
    counter.add(0, (10.0, 5.0))
    assert counter.mean_kw == pytest.approx(6.0)
    assert counter.add(MINUTE, (10.1, 0.0)) is SampleResult.TAKEN
    assert (counter.mean_kw, counter.n_resets) == (None, 1)
    counter.add(2 * MINUTE, (10.11, 0.0))
    assert counter.mean_kw == pytest.approx(0.6)


def test_counter_after_a_long_gap_gives_no_minutes() -> None:
    counter = EnergyCounter([1], hold_ms=2 * MINUTE)
    counter.add(-2 * MINUTE, (9.0,))
    counter.add(0, (10.0,))
    assert counter.mean_kw == pytest.approx(30.0), "the longest time for which a value is held"
    counter.add(2 * MINUTE + 1, (11.0,))
    assert counter.mean_kw is None
    assert counter.add(1, (11.0,)) is SampleResult.LATE
    counter.add(0, (11.0,))  # a clock set back by more than a count may be old
    assert counter.mean_kw is None
    assert counter.n_resets == 0


def test_counter_starts_again_if_its_clock_is_set_back() -> None:
    """Otherwise the energy until the old time is reached again counts in a single interval."""
    counter = EnergyCounter([1, -1], hold_ms=20 * MINUTE)
    counter.add(10 * MINUTE, (10.0, 5.0))
    assert counter.add(9 * MINUTE, (10.02, 5.0)) is SampleResult.LATE, "a correction of the clock, or jitter"
    assert counter.add(5 * MINUTE, (10.0, 4.9)) is SampleResult.LATE, "an older message"
    assert counter.add(5 * MINUTE, (10.02, 5.0)) is SampleResult.TAKEN
    assert (counter.mean_kw, counter.n_resets) == (None, 0)
    counter.add(6 * MINUTE, (10.04, 5.0))
    assert counter.mean_kw == pytest.approx(1.2)


def test_counter_ignores_duplicate_and_late_counts() -> None:
    counter = EnergyCounter([1], hold_ms=2 * MINUTE)
    counter.add(MINUTE, (10.0,))
    assert counter.add(MINUTE, (10.0,)) is SampleResult.DUPLICATE
    assert counter.add(MINUTE - 1, (9.9,)) is SampleResult.LATE
    counter.add(2 * MINUTE, (10.01,))
    assert counter.mean_kw == pytest.approx(0.6)
    assert counter.n_resets == 0


def test_counter_keeps_the_energy_of_counts_that_arrive_at_once() -> None:
    """A broker queues the counts of an interruption; without times of their own they have that of their arrival."""
    counter = EnergyCounter([1], hold_ms=20 * MINUTE)
    counter.add(0, (10.0,))
    counter.add(5 * MINUTE, (10.02,))
    assert [counter.add(5 * MINUTE + i, (10.02 + 0.02 * i,)) for i in (1, 2, 499)] == [SampleResult.DUPLICATE] * 3
    counter.add(6 * MINUTE, (10.12,))
    assert counter.mean_kw == pytest.approx(6.0), "all of the energy since the first count of the interruption"
    assert counter.add(6 * MINUTE + 500, (10.12,)) is SampleResult.TAKEN


def test_counter_starts_from_the_newest_of_the_counts_that_arrive_at_once() -> None:
    """Otherwise the energy of an interruption of unknown length counts in the first interval after it."""
    counter = EnergyCounter([1], hold_ms=20 * MINUTE)
    counter.add(0, (10.0,))
    for i in range(60):
        counter.add(30 * MINUTE + i, (11.0 + 0.02 * i,))
        assert counter.mean_kw is None
    counter.add(31 * MINUTE, (11.0 + 0.02 * 60,))
    assert counter.mean_kw == pytest.approx(1.2, rel=0.01)
