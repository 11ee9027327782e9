"""The wait before the next connection attempt."""

from __future__ import annotations

import pytest

from gapcast.mqtt.connection.backoff import Backoff
from tests.support.clocks import ManualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    made = ManualClock()
    monkeypatch.setattr("gapcast.mqtt.connection.backoff.time", made)
    return made


def test_backoff_first_attempt_is_due_at_once(clock: ManualClock) -> None:
    assert Backoff().wait_s() == 0


def test_backoff_doubles_up_to_four_seconds(clock: ManualClock) -> None:
    backoff = Backoff()
    for longest_s in (0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0):
        backoff.failed()
        assert 0.75 * longest_s <= backoff.wait_s() <= longest_s


def test_backoff_decreases_with_time(clock: ManualClock) -> None:
    backoff = Backoff()
    backoff.failed()
    wait_s = backoff.wait_s()
    clock.now_s += wait_s / 2
    assert backoff.wait_s() == pytest.approx(wait_s / 2)
    clock.now_s += 10
    assert backoff.wait_s() == 0


@pytest.mark.parametrize("n_failed", [0, 6])
def test_backoff_after_a_long_connection_is_shortest(clock: ManualClock, n_failed: int) -> None:
    backoff = Backoff()
    for _ in range(n_failed):
        backoff.failed()
    backoff.succeeded()
    clock.now_s += 5
    for longest_s in (0.25, 0.5, 1.0):  # from there on it doubles again
        backoff.failed()
        assert 0.75 * longest_s <= backoff.wait_s() <= longest_s


def test_backoff_short_connections_count_as_failures(clock: ManualClock) -> None:
    backoff = Backoff()
    for longest_s in (0.25, 0.5, 1.0, 2.0, 4.0, 4.0):
        backoff.succeeded()
        clock.now_s += 4.9
        backoff.failed()
        assert 0.75 * longest_s <= backoff.wait_s() <= longest_s


def test_backoff_contended_waits_far_longer_than_any_failure(clock: ManualClock) -> None:
    """Otherwise two gateways with one client id would take the session from each other every few seconds."""
    backoff = Backoff()
    backoff.succeeded()
    backoff.failed()
    backoff.contended()
    assert 15 <= backoff.wait_s() <= 30
    clock.now_s += 30
    backoff.failed()  # not reached either
    assert 0.75 * 4 <= backoff.wait_s() <= 4


def test_backoff_is_random(clock: ManualClock) -> None:
    fleet = [Backoff() for _ in range(20)]
    for backoff in fleet:
        backoff.failed()
    assert len({backoff.wait_s() for backoff in fleet}) > 10
