"""ALPN on a port that MQTT and HTTPS share: the offered protocol selects the server.

mosquitto 2.0 does not evaluate ALPN, so a TLS server before it selects, as in front of brokers on port 443.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.integration.test_tls import HERE, refusal, tls
from tests.support.brokers import MosquittoBroker
from tests.support.certificates import Authority
from tests.support.ports import LOOPBACK, free_port, is_open
from tests.support.shared_port import HTTP, MQTT, SharedPort, shared_port
from tests.support.waiting import wait_until


@pytest.fixture
def shared(mosquitto: MosquittoBroker, authority: Authority) -> Iterator[SharedPort]:
    identity = authority.issue("broker", alternative=HERE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    with shared_port(context, mosquitto.port) as running:
        yield running


@pytest.fixture
def particular(authority: Authority) -> Iterator[int]:
    """The port of a TLS server that, like many, ends a handshake that does not offer ``mqtt``."""
    identity = authority.issue("broker", alternative=HERE)
    port = free_port()
    files = ["-cert", str(identity.certificate), "-key", str(identity.key)]
    command = ["openssl", "s_server", "-accept", f"{LOOPBACK}:{port}", "-alpn", MQTT, "-quiet", *files]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with process:
        wait_until(lambda: is_open(port), "openssl's server")
        yield port
        process.terminate()


@pytest.mark.parametrize("alpn", [["mqtt"], ["x-amzn-mqtt-ca", "mqtt"]])
def test_alpn_mqtt_reaches_the_broker(
    mosquitto: MosquittoBroker, shared: SharedPort, authority: Authority, start_gateway: StartGateway,
    connect: Connect, alpn: list[str],
) -> None:  # fmt: skip
    gateway = start_gateway(shared.port, mqtt=tls(authority, alpn=alpn))
    assert shared.agreed == [MQTT]
    peer = connect(mosquitto)
    peer.subscribe("gap/home/forecast")
    for i in range(2):
        peer.send("gap/home/reading", reading(FIRST + i, 1.0))
    peer.wait_for("gap/home/forecast", 1)
    gateway.stop()


@pytest.mark.parametrize(("keys", "agreed"), [({}, None), ({"alpn": ["amqp"]}, None), ({"alpn": ["http/1.1"]}, HTTP)])
def test_missing_alpn_error_names_the_setting(
    shared: SharedPort, authority: Authority, start_gateway: StartGateway, keys: dict[str, Any], agreed: str | None
) -> None:
    gateway = start_gateway(shared.port, connected=False, mqtt=tls(authority, **keys))
    wait_until(lambda: bool(shared.agreed), "a handshake")
    assert shared.agreed[0] == agreed
    assert "mqtt.tls.alpn" in refusal(gateway)


def test_alpn_rejected_by_the_server_is_named_with_a_fix(
    particular: int, authority: Authority, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(particular, connected=False, mqtt=tls(authority, alpn=["amqp"]))
    assert "the broker supports none of the protocols in mqtt.tls.alpn" in refusal(gateway)
