"""The queue of received messages: order, dropped messages when it is full, and changes by a lost connection."""

from __future__ import annotations

import pytest

from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session import received_messages
from gapcast.mqtt.session.received_messages import ReceivedMessage, ReceivedMessages

NOW = (1.5, 1_700_000_000_000)


def publication(n: int, *, packet_id: int = 0) -> Publication:
    return Publication(f"topic/{n}", b"%d" % n, packet_id, redelivered=False, retained=False, properties=b"", n_bytes=1)


def test_messages_are_taken_in_order_of_arrival() -> None:
    received = ReceivedMessages()
    sent = [publication(n) for n in range(5)]
    assert received.add(sent, NOW)
    taken = [received.take(2), received.take(9), received.take(1)]
    assert taken == [[ReceivedMessage(one, *NOW) for one in part] for part in (sent[:2], sent[2:], [])]
    assert received.n_taken == 5


def test_full_queue_drops_what_the_broker_sends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received_messages, "_MAX_QUEUED", 2)
    received = ReceivedMessages()
    added = [received.add([publication(n, packet_id=n * (n == 3))], NOW) for n in range(5)]
    assert added == [True, True, False, True, False]
    assert [one.publication.packet_id for one in received.take(9)] == [0, 0, 3]
    assert (received.n_taken, received.n_dropped) == (3, 2)


def test_full_queue_drops_the_same_of_messages_that_arrive_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received_messages, "_MAX_QUEUED", 2)
    received = ReceivedMessages()
    assert not received.add([publication(n, packet_id=n * (n == 3)) for n in range(5)], NOW)
    assert [one.publication.packet_id for one in received.take(9)] == [0, 0, 3]
    assert (received.n_taken, received.n_dropped) == (3, 2)


def test_lost_connection_leaves_messages_without_their_packet_ids() -> None:
    received = ReceivedMessages()
    received.add([publication(1, packet_id=7)], NOW)
    received.disconnected()
    assert received.take(1) == [ReceivedMessage(publication(1), *NOW)]
