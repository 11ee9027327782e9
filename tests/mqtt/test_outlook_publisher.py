"""Outlooks on the wire: topic, content, expiry, and when none is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from gapcast.core.grid import MINUTE_MS
from gapcast.core.outlook.document import outlook_document
from gapcast.core.outlook.outlook import Outlooks
from gapcast.mqtt.outlook_publisher import OutlookPublisher
from gapcast.mqtt.session import Session
from gapcast.mqtt.topics import DeviceTopic
from tests.support.outlook_model import OutlookModel

MINUTE = 28_000_000
MODEL = OutlookModel()


@dataclass(slots=True)
class Sent:
    """A session that records what is published."""

    connected: bool = True
    is_backlogged: bool = False
    messages: list[tuple[bytes, bytes, dict[str, Any]]] = field(default_factory=list)

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


@pytest.mark.parametrize("sent", [Sent(connected=False), Sent(is_backlogged=True)])
def test_outlooks_are_not_sent_while_the_broker_takes_nothing(sent: Sent) -> None:
    publish(sent, outlooks())
    assert sent.messages == []
