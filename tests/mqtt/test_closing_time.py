"""Minutes of samples without a connection: the broker may hold their samples."""

from __future__ import annotations

import json

import pytest

from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import minute_of
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources import closing_time
from tests.mqtt.test_link import NOW_MS, Waiting, link_over
from tests.support.clocks import ManualClock

FIRST = minute_of(NOW_MS)
ON_CHANGE = {"topic": "meter/{device}", "value": "kw", "unit": "kW", "time": "t", "on_change": "true"}


class LostMeter:
    """A meter that sends each change, its gateway, and the gateway's connection."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting, self.clock = Waiting(), ManualClock()
        monkeypatch.setattr(closing_time, "time", self.clock)
        self.link, _ = link_over(self.waiting, sources=[ON_CHANGE], now_ms=lambda: self.now_ms)
        self.readings: list[Reading] = []

    @property
    def now_ms(self) -> int:
        return NOW_MS + round((self.clock.now_s - 1_000) * 1_000)

    def at(self, second: int) -> list[tuple[int, float]]:
        """Run the gateway at ``second``; return the minutes that it closes, after the first one, and their power."""
        self.clock.now_s = 1_000.0 + second
        found = (message.reading for message in self.link.receive_messages(256, 0))
        return [(one.minute - FIRST, one.gap_kw) for one in found if one is not None]

    def send(self, second: int, kw: float) -> None:
        """Put a sample of ``second`` into the queue of the gateway."""
        payload = json.dumps({"kw": kw, "t": NOW_MS + second * 1_000}).encode()
        publication = Publication("meter/home", payload, 1, False, False, b"", len(payload))
        self.waiting.received.append(ReceivedMessage(publication, self.clock.now_s, self.now_ms))


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> LostMeter:
    """Return a meter that has sent 1 kW at the start of the first minute, and has lost its connection after 40 s."""
    found = LostMeter(monkeypatch)
    found.send(0, 1.0)
    assert found.at(0) == []
    found.waiting.connected = False
    assert found.at(40) == []
    return found


def test_minutes_without_a_connection_are_of_the_queued_samples(meter: LostMeter) -> None:
    assert [meter.at(second) for second in (62, 122, 182, 239)] == [[(0, 1.0)], [], [], []]
    meter.waiting.connected = True
    assert meter.at(240) == []
    for second, kw in ((90, 3.0), (240, 2.0)):
        meter.send(second, kw)
    assert meter.at(241) == [(1, 2.0), (2, 3.0), (3, 3.0)]


def test_minutes_without_queued_samples_are_closed_after_a_wait(meter: LostMeter) -> None:
    assert [meter.at(second) for second in (62, 200)] == [[(0, 1.0)], []]
    meter.waiting.connected = True
    assert [meter.at(second) for second in (210, 219)] == [[], []]
    assert meter.at(220) == [(1, 1.0), (2, 1.0)]
    assert meter.at(242) == [(3, 1.0)]


def test_minute_mostly_without_a_connection_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = LostMeter(monkeypatch)
    meter.send(0, 1.0)
    assert meter.at(0) == []
    meter.waiting.connected = False
    assert [meter.at(second) for second in (29, 62, 600)] == [[], [], []]


def test_minute_after_a_short_loss_is_closed_on_time(meter: LostMeter) -> None:
    meter.waiting.connected = True
    assert [meter.at(second) for second in (41, 50, 55, 62)] == [[], [], [], [(0, 1.0)]]
