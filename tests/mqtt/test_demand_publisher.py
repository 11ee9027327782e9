"""Demands on the wire: topics, content, expiry, and when none is sent."""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import pytest

from gapcast.core.demand.demand import Demands
from gapcast.core.demand.document import demand_document
from gapcast.core.demand.max_power import max_powers_w
from gapcast.core.demand.options import LimitSource
from gapcast.core.demand.window_demands import SOURCES, WindowDemands
from gapcast.core.grid import DAY_MIN, MINUTE_MS
from gapcast.mqtt.demand_publisher import DemandPublisher
from gapcast.mqtt.session import Session
from gapcast.mqtt.topics import DemandTopics, DeviceTopic
from tests.mqtt.test_outlook_publisher import Sent
from tests.support.outlook_model import OutlookModel

MINUTE = 28_000_000
NAMES = ("demand", "headroom_w", "max_power_w", "demand/limit", "peak")
TOPICS = DemandTopics(*(DeviceTopic.parse(name, f"gap/{{device}}/{name}") for name in NAMES))


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
    return Demands.of(
        model=OutlookModel(),
        issued_at_ms=issued_at_ms,
        devices=["home", "a.b"],
        observed_minutes=np.full(2, MINUTE),
        running=columns(MINUTE, 1.2349),
        next=columns(MINUTE + 15, 0.0),
        risk=np.full(2, 0.05),
        month_peak_kw=none,
        fuse_kw=none,
        p_fuse=none,
    )


def publish(sent: Sent, made: Demands, *, retain: bool = False) -> None:
    DemandPublisher(cast("Session", sent), TOPICS, retain=retain).publish(made)


def test_demands_are_sent_as_documents_and_their_headroom_as_a_number() -> None:
    sent, made = Sent(), demands(4.5)
    publish(sent, made)
    assert [topic for topic, _, _ in sent.messages] == [
        b"gap/home/demand", b"gap/home/headroom_w", b"gap/home/max_power_w",
        b"gap/a.b/demand", b"gap/a.b/headroom_w", b"gap/a.b/max_power_w",
    ]  # fmt: skip
    assert [json.loads(payload) for _, payload, _ in sent.messages[::3]] == [demand_document(one) for one in made]
    assert [payload for _, payload, _ in sent.messages[1::3]] == [b"1234", b"-1"]
    assert [payload for _, payload, _ in sent.messages[2::3]] == [b"%d" % one for one in max_powers_w(made)]


@pytest.mark.parametrize(("left_min", "expiry_s"), [(4.5, 270), (0.01, 1), (5.0, 300), (60.0, 300), (-90_000.0, 300)])
def test_demand_expires_when_it_is_no_longer_valid(left_min: float, expiry_s: int) -> None:
    sent = Sent()
    publish(sent, demands(left_min), retain=True)
    expected = [{"retain": retain, "expiry_s": expiry_s} for retain in (True, False, False)]
    assert [options for _, _, options in sent.messages] == expected * 2


@pytest.mark.parametrize("left_min", [0.0, -1.0, -DAY_MIN])
def test_headroom_of_a_late_reading_is_not_sent_as_a_number(left_min: float) -> None:
    sent = Sent()
    publish(sent, demands(left_min))
    assert [topic for topic, _, _ in sent.messages] == [b"gap/home/demand", b"gap/a.b/demand"]


@pytest.mark.parametrize("sent", [Sent(connected=False), Sent(is_backlogged=True)])
def test_demands_are_not_sent_while_the_broker_takes_nothing(sent: Sent) -> None:
    publish(sent, demands(4.5))
    assert sent.messages == []
