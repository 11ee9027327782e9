"""Demands on the wire: topics, content, expiry, and when none is sent."""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import pytest

from gapcast.core.billing.options import LimitSource
from gapcast.core.billing.window_demands import SOURCES, WindowDemands
from gapcast.core.demand.demand import HEADROOM, Demands
from gapcast.core.demand.documents.document import demand_document
from gapcast.core.demand.documents.max_power import max_powers_w
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.publishers.demand_publisher import DemandPublisher
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DemandTopics, DeviceTopic
from tests.mqtt.test_outlook_publisher import Sent
from tests.support.library_choice import build
from tests.support.outlook_model import OutlookModel
from tests.support.recorded_session import Protocol, RecordedSession
from tests.support.window_demands import demands_from_columns

MINUTE = 28_000_000
DAMAGED_KW = 1.1e9
NAMES = ("demand", "headroom_w", "max_power_w", "demand/limit", "peak")
TOPICS = DemandTopics(*(DeviceTopic.parse(name, f"gap/{{device}}/{name}") for name in NAMES))


class SentAlone(Sent):
    """A session that accepts messages only one by one."""

    def next_ids(self, _n: int) -> None:
        return None


class Sender(RecordedSession):
    """A publisher of demands over a recorded session."""

    def __init__(self, qos: int, protocol: Protocol, *, compiled: bool = True, max_in_flight: int = 20) -> None:
        super().__init__(qos, protocol, max_in_flight=max_in_flight)
        self.publisher = build(DemandPublisher, self.session, TOPICS, retain=True, compiled=compiled)


def columns(start: int, headroom_kw: float) -> WindowDemands:
    both, none = np.ones(2), np.full(2, np.nan)
    return WindowDemands(
        start_minutes=np.full(2, start),
        end_minutes=np.full(2, start + 15),
        elapsed_min=np.zeros(2, dtype=np.int64),
        n_known=np.zeros(2, dtype=np.int64),
        so_far_kw=none,
        expected_kw=both,
        lower_kw=0.5 * both,
        median_kw=both,
        upper_kw=2 * both,
        limit_kw=2.5 * both,
        sources=np.full(2, SOURCES.index(LimitSource.FIXED)),
        p_exceed=0.1 * both,
        headroom_kw=np.array([headroom_kw, -0.0004]),
    )


def demands(left_min: float) -> Demands:
    """The demands of two devices, valid until five minutes after :data:`MINUTE`, issued ``left_min`` before."""
    issued_at_ms = int((MINUTE + 5 - left_min) * MINUTE_MS)
    none = np.full(2, np.nan)
    return demands_from_columns(
        OutlookModel(), issued_at_ms, ["home", "a.b"], np.full(2, MINUTE), columns(MINUTE, 1.2349),
        columns(MINUTE + 15, 0.0), (np.full(2, 0.05), none, none, none),
    )  # fmt: skip


def publish(sent: Sent, made: Demands, *, retain: bool = False) -> None:
    DemandPublisher(cast("Session", sent), TOPICS, retain=retain).publish(made)


def test_demands_are_sent_as_documents_and_their_headroom_as_a_number() -> None:
    sent, made = SentAlone(), demands(4.5)
    publish(sent, made)
    assert [topic for topic, _, _ in sent.messages] == [
        b"gap/home/demand", b"gap/home/headroom_w", b"gap/home/max_power_w",
        b"gap/a.b/demand", b"gap/a.b/headroom_w", b"gap/a.b/max_power_w",
    ]  # fmt: skip
    assert [json.loads(payload) for _, payload, _ in sent.messages[::3]] == [demand_document(one) for one in made]
    assert [payload for _, payload, _ in sent.messages[1::3]] == [b"1234", b"-1"]
    assert [payload for _, payload, _ in sent.messages[2::3]] == [b"%d" % one for one in max_powers_w(made)]


@pytest.mark.parametrize(("left_min", "expiry_s"), [(4.5, 270), (0.01, 1), (5.0, 300), (60.0, 300)])
def test_demand_expires_when_it_is_no_longer_valid(left_min: float, expiry_s: int) -> None:
    sent = SentAlone()
    publish(sent, demands(left_min), retain=True)
    number = {"retain": False, "expiry_s": expiry_s, "is_dropped_expired": True}
    expected = [{"retain": True, "expiry_s": expiry_s}, number, number]
    assert [options for _, _, options in sent.messages] == expected * 2


@pytest.mark.parametrize("left_min", [0.0, -1.0, -90_000.0])
def test_headroom_of_a_late_reading_is_not_sent_as_a_number(left_min: float) -> None:
    sent = SentAlone()
    publish(sent, demands(left_min))
    assert [topic for topic, _, _ in sent.messages] == [b"gap/home/demand", b"gap/a.b/demand"]


@pytest.mark.parametrize("sent", [SentAlone(is_open=False), SentAlone(is_backlogged=True)])
def test_demands_are_not_sent_while_the_broker_accepts_nothing(sent: Sent) -> None:
    publish(sent, demands(4.5))
    assert sent.messages == []


@pytest.mark.compiled
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1])
def test_demands_in_one_piece_have_the_bytes_of_single_messages(qos: int, protocol: Protocol) -> None:
    at_once, single = Sender(qos, protocol), Sender(qos, protocol, compiled=False)
    for left_min, n_messages in ((4.5, 6), (0.01, 6), (0.0, 2), (-1.0, 2), (-90_000.0, 2)):
        for sender in (at_once, single):
            sender.connection.pieces.clear()
            sender.publisher.publish(demands(left_min))
            for one in sender.connection.publications:
                sender.connection.confirm(one.packet_id)
        assert (len(at_once.connection.pieces), len(single.connection.pieces)) == (1, n_messages)
        assert b"".join(at_once.connection.pieces) == b"".join(single.connection.pieces)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("left_min", [4.5, -1.0])
def test_demands_in_one_piece_are_sent_again_as_single_messages_are(left_min: float, protocol: Protocol) -> None:
    at_once, single = Sender(1, protocol), Sender(1, protocol, compiled=False)
    for sender in (at_once, single):
        sender.publisher.publish(demands(left_min))
        first, *others = (one.packet_id for one in sender.connection.publications)
        sender.connection.confirm(first)
        sender.connection.pieces.clear()
        sender.connection.now = (130.0, 0)
        sender.connection.open()
        assert [one.packet_id for one in sender.connection.publications] == others
    assert at_once.connection.pieces == single.connection.pieces


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.compiled)])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_numbers_that_have_expired_are_not_sent_again(protocol: Protocol, compiled: bool) -> None:
    sender = Sender(1, protocol, compiled=compiled)
    sender.publisher.publish(demands(4.5))
    for s_later, n_again in ((269.0, 6), (270.0, 2), (4_000.0, 2)):
        sender.connection.pieces.clear()
        sender.connection.now = (100.0 + s_later, 0)
        sender.connection.open()
        assert len(sender.connection.publications) == sender.session.n_unconfirmed == n_again
    assert [one.topic for one in sender.connection.publications] == ["gap/home/demand", "gap/a.b/demand"]


def test_numbers_that_expire_while_they_wait_are_not_sent() -> None:
    sender = Sender(1, "3.1.1", max_in_flight=1)
    sender.publisher.publish(demands(4.5))
    sender.connection.now = (1_000.0, 0)
    for packet_id in [one.packet_id for one in sender.connection.publications]:
        sender.connection.confirm(packet_id)
    assert [one.topic for one in sender.connection.publications] == ["gap/home/demand", "gap/a.b/demand"]


@pytest.mark.parametrize("max_in_flight", [2, 5])
def test_demands_beyond_what_may_be_in_flight_wait(max_in_flight: int) -> None:
    sender = Sender(1, "5", max_in_flight=max_in_flight)
    sender.publisher.publish(demands(4.5))
    assert len(sender.connection.publications) == max_in_flight
    assert sender.session.n_unconfirmed == 6


def test_demands_with_unusual_numbers_are_sent_one_by_one() -> None:
    sender, made = Sender(0, "3.1.1"), demands(4.5)
    made.columns[0, HEADROOM] = 1e3 * DAMAGED_KW
    made.columns[0, HEADROOM - 1] = DAMAGED_KW
    sender.publisher.publish(made)
    assert len(sender.connection.pieces) == 6
    assert json.loads(sender.connection.publications[0].payload) == demand_document(made[0])
