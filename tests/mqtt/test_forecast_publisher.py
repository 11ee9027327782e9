"""Forecasts on the wire: in one piece, the same bytes as message by message."""

from __future__ import annotations

from dataclasses import replace

import pytest
import structlog

from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.models.predictor import PublishedModel
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.window import WindowSpec
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.publishers.forecast_publisher import ForecastPublisher
from gapcast.mqtt.topics import DeviceTopic
from tests.support.library_choice import build
from tests.support.recorded_session import Protocol, RecordedSession

MINUTE = 28_000_000
MODEL = PublishedModel("blend", "1", WindowSpec(180), (1, 5), None)


class Sender(RecordedSession):
    """A publisher of forecasts over a recorded session."""

    def __init__(self, qos: int, protocol: Protocol, *, compiled: bool = True, max_in_flight: int = 20) -> None:
        super().__init__(qos, protocol, max_in_flight=max_in_flight)
        topic = DeviceTopic.parse("topics.forecast", "gap/{device}/forecast")
        self.publisher = build(ForecastPublisher, self.session, topic, retain=True, compiled=compiled)


def split_publications(sender: Sender) -> list[bytes]:
    """Return the sent packets, one by one."""
    content, packets = b"".join(sender.connection.pieces), list[bytes]()
    while content:
        n_bytes = 3 + (content[1] & 0x7F) + (content[2] << 7)
        packets.append(content[:n_bytes])
        content = content[n_bytes:]
    return packets


def forecasts(age_min: float = 0.5) -> Forecasts:
    minutes = [MINUTE, MINUTE, MINUTE - 1]
    issued_at_ms = int((MINUTE + age_min) * MINUTE_MS)
    return Forecasts(MODEL, issued_at_ms, ["home", "a.b", "c"], minutes, [2, 3, 180], [1.5, 0.000012, -3.0])


@pytest.mark.compiled
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1])
def test_batch_in_one_piece_has_the_bytes_of_single_messages(qos: int, protocol: Protocol) -> None:
    at_once, single = Sender(qos, protocol), Sender(qos, protocol, compiled=False)
    for age_min in (0.5, 4.5, 9_000.0):
        ids = at_once.publisher.publish(forecasts(age_min))
        assert [one > 0 for one in ids] == [qos > 0] * 3
        assert single.publisher.publish(forecasts(age_min)) == ids
    assert len(at_once.connection.pieces) == 3
    assert len(single.connection.pieces) == 9
    assert b"".join(at_once.connection.pieces) == b"".join(single.connection.pieces)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_batch_in_one_piece_is_sent_again_as_single_messages_are(protocol: Protocol) -> None:
    at_once, single = Sender(1, protocol), Sender(1, protocol, compiled=False)
    for sender in (at_once, single):
        ids = sender.publisher.publish(forecasts())
        sender.connection.confirm(ids[1])
        sender.connection.pieces.clear()
        sender.connection.now = (130.0, 0)
        sender.connection.open()
    assert at_once.connection.pieces == single.connection.pieces
    assert [one.redelivered for one in at_once.connection.publications] == [True, True]
    assert [one.topic for one in at_once.connection.publications] == ["gap/home/forecast", "gap/c/forecast"]


def test_batch_beyond_what_may_be_in_flight_waits_for_confirmations() -> None:
    sender = Sender(1, "5", max_in_flight=2)
    ids = sender.publisher.publish(forecasts())
    assert [one.packet_id for one in sender.connection.publications] == ids[:2]
    sender.connection.confirm(ids[0])
    assert [one.packet_id for one in sender.connection.publications] == ids


@pytest.mark.parametrize("qos", [0, 1])
def test_messages_above_the_brokers_packet_limit_are_dropped(qos: int) -> None:
    sender = Sender(qos, "5")
    sender.publisher.publish(forecasts())
    longest = max(len(piece) for piece in split_publications(sender))
    with structlog.testing.capture_logs() as logged:
        for max_packet_bytes, n_sent in ((longest, 3), (longest - 1, 2), (100, 0)):
            sender.connection.pieces.clear()
            sender.connection.open(max_packet_bytes=max_packet_bytes)
            sender.connection.pieces.clear()
            ids = sender.publisher.publish(forecasts())
            assert len(sender.connection.publications) == n_sent
            assert sum(not sender.session.has_confirmed([one]) for one in ids) == n_sent * qos
            sender.connection.confirm(*ids)
    assert [(one["event"], one["max_bytes"]) for one in logged] == [
        ("mqtt.message_too_long", longest - 1), ("mqtt.message_too_long", 100),
    ]  # fmt: skip
    assert (logged[0]["topic"], logged[0]["n_bytes"]) == ("gap/a.b/forecast", longest)


def test_unconfirmed_longer_than_the_broker_takes_now_are_not_sent_again() -> None:
    sender = Sender(1, "5")
    ids = sender.publisher.publish(forecasts())
    sender.connection.pieces.clear()
    sender.connection.open(max_packet_bytes=100)
    assert sender.connection.pieces == []
    assert sender.session.has_confirmed(ids)


@pytest.mark.parametrize("qos", [0, 1])
def test_forwarded_properties_are_sent_with_their_forecast(qos: int) -> None:
    sender = Sender(qos, "5")
    correlation = bytes.fromhex("09 0002 6162")
    publication = Publication("gap/home/reading", b"", 0, False, False, correlation, 0)
    sender.publisher.attach_properties(Reading("home", MINUTE, 1.0), publication)
    sender.publisher.publish(forecasts())
    assert [correlation in one.properties for one in sender.connection.publications] == [True, False, False]
    sender.publisher.begin_batch()
    sender.publisher.publish(forecasts())
    assert [correlation in one.properties for one in sender.connection.publications[3:]] == [False] * 3


def test_forecasts_at_qos_0_are_dropped_without_a_connection() -> None:
    sender = Sender(0, "5")
    sender.connection.is_open = False
    assert sender.publisher.publish(forecasts()) == [0, 0, 0]
    assert sender.connection.pieces == []


@pytest.mark.parametrize("qos", [0, 1])
def test_forecasts_with_plans_are_sent_one_by_one(qos: int) -> None:
    sender = Sender(qos, "5")
    sender.publisher.publish(replace(forecasts(), planned_kw=[None, 1.0, None], uncontrolled_kw=[None, 0.5, None]))
    assert [b"planned_kw" in one.payload for one in sender.connection.publications] == [False, True, False]


def test_no_forecasts_send_nothing() -> None:
    sender = Sender(1, "5")
    assert sender.publisher.publish(Forecasts(MODEL, 0, [], [], [], [])) == []
    assert sender.connection.pieces == []
