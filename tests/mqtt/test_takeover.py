"""Another client with the same client id: detected by MQTT 5's reason, or by short connections."""

from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.mqtt.connection.takeover import TakeoverDetector
from tests.support.clocks import ManualClock

UNSPECIFIED = ReasonCode(PacketTypes.DISCONNECT, "Unspecified error")
TAKEN_OVER = ReasonCode(PacketTypes.DISCONNECT, "Session taken over")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    made = ManualClock()
    monkeypatch.setattr("gapcast.mqtt.connection.takeover.time", made)
    return made


def ended(detector: TakeoverDetector, clock: ManualClock, lasted_s: float, *, was_open: bool = True) -> bool:
    """Return whether a connection of MQTT 3.1.1 was taken over, after ``lasted_s``."""
    if was_open:
        detector.opened()
    clock.now_s += lasted_s
    return detector.is_taken_over(UNSPECIFIED, was_open=was_open, mqtt5=False)


def test_takeover_is_the_third_connection_of_mqtt3_cut_short_in_a_row(clock: ManualClock) -> None:
    detector = TakeoverDetector()
    assert [ended(detector, clock, 59.0) for _ in range(4)] == [False, False, True, True]


@pytest.mark.parametrize(("lasted_s", "was_open"), [(60.0, True), (1.0, False)])
def test_takeover_long_or_unaccepted_connection_begins_the_count_again(
    clock: ManualClock, lasted_s: float, was_open: bool
) -> None:
    detector = TakeoverDetector()
    assert not any([ended(detector, clock, 1.0), ended(detector, clock, 1.0)])
    assert not ended(detector, clock, lasted_s, was_open=was_open)
    assert [ended(detector, clock, 1.0) for _ in range(3)] == [False, False, True]


def test_takeover_is_not_a_broker_that_restarts(clock: ManualClock) -> None:
    detector = TakeoverDetector()
    for _ in range(5):
        assert not any([ended(detector, clock, 1.0), ended(detector, clock, 1.0)])
        detector.unreachable()


def test_takeover_of_mqtt5_has_a_reason_of_its_own(clock: ManualClock) -> None:
    detector = TakeoverDetector()
    detector.opened()
    assert detector.is_taken_over(TAKEN_OVER, was_open=True, mqtt5=True)
    assert not any(detector.is_taken_over(UNSPECIFIED, was_open=True, mqtt5=True) for _ in range(5))
