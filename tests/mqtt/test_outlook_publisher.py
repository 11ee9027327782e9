"""Outlooks on the wire: topic, content, expiry, and when none is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from gapcast.core.outlook.documents.outlook_document import outlook_document
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.publishers.outlook_publisher import OutlookPublisher
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DeviceTopic
from tests.support.library_choice import build
from tests.support.outlook_model import OutlookModel
from tests.support.recorded_session import Protocol, RecordedSession

MINUTE = 28_000_000
MODEL = OutlookModel()


@dataclass(slots=True)
class Sent:
    """A session that records what is published."""

    is_open: bool = True
    is_backlogged: bool = False
    messages: list[tuple[bytes, bytes, dict[str, Any]]] = field(default_factory=list)

    def next_ids(self, _: int) -> None:
        """Return None: messages are sent one by one."""

    def publish(self, topic: bytes, payload: bytes, **options: Any) -> int:
        self.messages.append((topic, payload, options))
        return 1


def outlooks(age_min: float = 0.5) -> Outlooks:
    """The outlooks of two devices for :data:`MINUTE`, issued ``age_min`` later."""
    kw = np.linspace(0, 2, 2 * len(MODEL.lead_times_min) * 4).reshape(2, -1, 4)
    return Outlooks(MODEL, int((MINUTE + age_min) * MINUTE_MS), ["home", "a.b"], [MINUTE, MINUTE], kw, kw / 2)


def publish(sent: Sent, made: Outlooks, *, retain: bool = False) -> None:
    topic = DeviceTopic.parse("topics.outlook", "gap/{device}/outlook")
    OutlookPublisher(cast("Session", sent), topic, retain=retain).publish(made)


def test_outlooks_are_sent_on_their_devices_topics_as_documents() -> None:
    sent, made = Sent(), outlooks()
    publish(sent, made)
    assert [topic for topic, _, _ in sent.messages] == [b"gap/home/outlook", b"gap/a.b/outlook"]
    assert [json.loads(payload) for _, payload, _ in sent.messages] == [outlook_document(one) for one in made]


@pytest.mark.parametrize(("age_min", "expiry_s"), [(0.5, 59.5 * 60), (59.999, 1), (61.0, 300), (9_000.0, 300)])
def test_outlook_expires_at_its_last_minute(age_min: float, expiry_s: float) -> None:
    sent = Sent()
    publish(sent, outlooks(age_min), retain=True)
    assert [options for _, _, options in sent.messages] == [{"retain": True, "expiry_s": expiry_s}] * 2


@pytest.mark.parametrize("sent", [Sent(is_open=False), Sent(is_backlogged=True)])
def test_outlooks_are_not_sent_while_the_broker_accepts_nothing(sent: Sent) -> None:
    publish(sent, outlooks())
    assert sent.messages == []


class Sender(RecordedSession):
    """A publisher of outlooks over a recorded session."""

    def __init__(self, qos: int, protocol: Protocol, *, compiled: bool = True) -> None:
        super().__init__(qos, protocol)
        topic = DeviceTopic.parse("topics.outlook", "gap/{device}/outlook")
        self.outlooks = build(OutlookPublisher, self.session, topic, retain=False, compiled=compiled)


@pytest.mark.compiled
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1])
def test_outlooks_in_one_piece_have_the_bytes_of_single_ones(qos: int, protocol: Protocol) -> None:
    at_once, single = (Sender(qos, protocol, compiled=compiled) for compiled in (True, False))
    for age_min in (0.5, 59.999, 9_000.0):
        for one in (at_once, single):
            one.outlooks.publish(outlooks(age_min))
    assert (len(at_once.connection.pieces), len(single.connection.pieces)) == (3, 6)
    assert b"".join(at_once.connection.pieces) == b"".join(single.connection.pieces)
    for one in (at_once, single):
        one.connection.pieces.clear()
        one.connection.open()
    assert at_once.connection.pieces == single.connection.pieces, "sent again in a new connection"
    assert len(single.connection.pieces) == 6 * qos


def test_outlooks_that_would_wait_are_sent_one_by_one() -> None:
    waiting = Sender(1, "5")
    waiting.connection.open(1)
    waiting.outlooks.publish(outlooks())
    assert [one.topic for one in waiting.connection.publications] == ["gap/home/outlook"]
    assert waiting.session.n_unconfirmed == 2
