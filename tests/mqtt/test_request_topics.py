"""Answers on the wire, over a lost connection; tests/integration/test_predict_requests.py has the rest."""

from __future__ import annotations

import struct

import pytest

from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.packets.properties import RESPONSE_TOPIC
from gapcast.mqtt.requests.request_topics import ANSWER_EXPIRY_S, PredictRequests
from tests.support.recorded_session import RecordedSession

ANSWERS, TOPIC = "gapcast/gw/answer/", b"gapcast/gw/answer/here"


@pytest.mark.parametrize(("s_later", "n_again"), [(ANSWER_EXPIRY_S - 1.0, 1), (ANSWER_EXPIRY_S + 1.0, 0)])
def test_unconfirmed_answer_is_sent_again_until_it_expires(s_later: float, n_again: int) -> None:
    sender = RecordedSession(1, "5")
    requests = PredictRequests(sender.session, ANSWERS, lambda body, n_bytes: (body[:n_bytes], "application/json"))
    response_topic = struct.pack("!BH", RESPONSE_TOPIC, len(TOPIC)) + TOPIC
    requests.receive(Publication("gapcast/gw/headroom", b"{}", 1, False, False, response_topic, 2))
    assert not requests.process_pending()
    assert [one.payload for one in sender.connection.publications] == [b"{}"]
    sender.connection.pieces.clear()
    sender.connection.now = (100.0 + s_later, 0)
    sender.connection.open()
    assert [one.topic for one in sender.connection.publications] == [TOPIC.decode()] * n_again
    assert sender.session.n_unconfirmed == n_again
