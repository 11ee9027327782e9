"""A second client with the gateway's client id: it is reported, and the two do not disconnect each other quickly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from gapcast.mqtt.connection.backoff import Backoff
from tests.support.brokers import MosquittoBroker
from tests.support.gateways import GATEWAY, gateway_settings, running
from tests.support.peers import peer_of
from tests.support.ports import LOOPBACK
from tests.support.waiting import wait_until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    made = MosquittoBroker(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(("protocol", "n_times"), [("5", 1), ("3.1.1", 3)])
def test_second_client_with_our_id_is_named(
    broker: MosquittoBroker, tmp_path: Path, protocol: str, n_times: int
) -> None:
    """MQTT 5 brokers name the reason; with 3.1.1 three short connections in a row indicate it."""
    settings = gateway_settings(broker.port, tmp_path / "state", mqtt={"protocol": protocol})
    with capture_logs() as logs, running(settings) as gateway, contextlib.ExitStack() as others:

        def named() -> list[str]:
            return [entry["problem"] for entry in logs if entry["event"] == "mqtt.taken_over"]

        def has_lost(n_connects: int) -> bool:
            return not gateway.service.queries.connected or gateway.session.n_connects > n_connects

        for i in range(n_times):
            gateway.wait_connected()
            assert named() == []
            n_connects = gateway.session.n_connects
            other = others.enter_context(
                peer_of(LOOPBACK, broker.port, client_id=f"gapcast-{GATEWAY}", mqtt5=protocol == "5")
            )
            wait_until(partial(has_lost, n_connects), "the gateway to lose its connection")
            if i < n_times - 1:
                other.close()  # or its own reconnection would take part
        wait_until(named, "the log to name the other client")
        assert f"gapcast-{GATEWAY}" in named()[0]
        assert "gateway.id" in named()[0]
        health = httpx.get(f"{gateway.url}/readyz")
        assert health.status_code == 503
        assert "Another client connects with the client id" in health.text


def test_contended_client_id_is_retried_after_a_long_wait() -> None:
    backoff = Backoff()
    backoff.succeeded()
    backoff.failed()
    backoff.contended()
    assert 14.0 < backoff.wait_s() <= 30.0
