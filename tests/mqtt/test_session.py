"""A session without a connection."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from gapcast.mqtt import connection
from gapcast.mqtt.client import SessionOptions
from gapcast.mqtt.session import Session
from tests.support.clocks import HandClock
from tests.support.ports import LOOPBACK, free_port


def test_expiry_of_a_message_counts_from_now_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    stub = SimpleNamespace(perf_counter=clock, time_ns=time.time_ns, monotonic=time.monotonic, sleep=lambda _: None)
    monkeypatch.setattr(connection, "time", stub)
    session = Session(SessionOptions("gw", "status", (), host=LOOPBACK, port=free_port()))
    for _ in range(2):
        clock.now_s += 60
        session.receive_messages(1, 0.0)
        assert session.expires_s(300) == clock.now_s + 300
    session.close(0.0)
