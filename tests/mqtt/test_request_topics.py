"""The requests that are answered, and answers on the wire over a lost connection.

tests/integration/test_predict_requests.py has the rest.
"""

from __future__ import annotations

import struct

import pytest

from gapcast.core.errors import PayloadError
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.packets.properties import RESPONSE_TOPIC
from gapcast.mqtt.requests.request_topics import ANSWER_EXPIRY_S, MAX_WAITING, PredictRequests
from tests.support.recorded_session import RecordedSession

ANSWERS, TOPIC = "gapcast/gw/answer/", b"gapcast/gw/answer/here"


def requests_of(sender: RecordedSession) -> PredictRequests:
    return PredictRequests(sender.session, ANSWERS, lambda body, n_bytes: (body[:n_bytes], "application/json"))


def request(topic: bytes | None, *, retained: bool = False) -> Publication:
    response_topic = b"" if topic is None else struct.pack("!BH", RESPONSE_TOPIC, len(topic)) + topic
    return Publication("gapcast/gw/headroom", b"{}", 1, False, retained, response_topic, 2)


@pytest.mark.parametrize(
    ("refused", "detail"),
    [
        (request(TOPIC, retained=True), "do not retain it"),
        (request(None), "no response topic"),
        *(
            (request(topic), "choose one below gapcast/gw/answer/")
            for topic in (
                b"gap/home/reading", b"gapcast/gw/answer", ANSWERS.encode(), TOPIC + b"/#", TOPIC + b"/+", TOPIC + b"\0"
            )
        ),
    ],
)  # fmt: skip
def test_request_that_may_not_be_answered_is_refused(refused: Publication, detail: str) -> None:
    sender = RecordedSession(1, "5")
    requests = requests_of(sender)
    with pytest.raises(PayloadError, match=detail):
        requests.receive(refused)
    assert not requests.process_pending()
    assert sender.connection.publications == []


def test_waiting_requests_are_bounded_and_answered_one_at_a_time() -> None:
    sender = RecordedSession(1, "5", max_in_flight=2 * MAX_WAITING)
    requests = requests_of(sender)
    for _ in range(MAX_WAITING):
        requests.receive(request(TOPIC))
    with pytest.raises(PayloadError, match="too many pending requests"):
        requests.receive(request(TOPIC))
    assert [requests.process_pending() for _ in range(MAX_WAITING)] == [True] * (MAX_WAITING - 1) + [False]
    assert len(sender.connection.publications) == MAX_WAITING


@pytest.mark.parametrize(("s_later", "n_again"), [(ANSWER_EXPIRY_S - 1.0, 1), (ANSWER_EXPIRY_S + 1.0, 0)])
def test_unconfirmed_answer_is_sent_again_until_it_expires(s_later: float, n_again: int) -> None:
    sender = RecordedSession(1, "5")
    requests = requests_of(sender)
    requests.receive(request(TOPIC))
    assert not requests.process_pending()
    assert [one.payload for one in sender.connection.publications] == [b"{}"]
    sender.connection.pieces.clear()
    sender.connection.now = (100.0 + s_later, 0)
    sender.connection.open()
    assert [one.topic for one in sender.connection.publications] == [TOPIC.decode()] * n_again
    assert sender.session.n_unconfirmed == n_again
