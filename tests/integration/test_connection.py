"""Connecting, reconnecting and status messages of the gateway, with and without a broker."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, reading
from tests.support.brokers import AmqttBroker, Broker, MosquittoBroker
from tests.support.clocks import ManualClock
from tests.support.gateways import ALONE, STATUS, Gateway
from tests.support.models import default_name, shipped_names
from tests.support.ports import LOOPBACK, free_port, is_open
from tests.support.waiting import wait_until
from tests.support.wire import CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE, WireBroker


def test_status_online_and_offline_are_retained(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    early = connect(broker)
    early.subscribe("gapcast/+/status")
    gateway = start_gateway(broker)
    assert early.wait_for(STATUS)[0].payload == b"online"
    while_it_runs = connect(broker)
    while_it_runs.subscribe("gapcast/+/status")
    message = while_it_runs.wait_for(STATUS)[0]
    assert (message.payload, message.retained) == (b"online", True)

    gateway.stop()
    assert [m.payload for m in early.wait_for(STATUS, 2)] == [b"online", b"offline"]
    afterwards = connect(broker)
    afterwards.subscribe("gapcast/+/status")
    message = afterwards.wait_for(STATUS)[0]
    assert (message.payload, message.retained) == (b"offline", True)


def test_service_without_a_broker_connects_when_it_starts(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    broker.stop()
    assert not is_open(broker.port)
    gateway = start_gateway(broker, connected=False, forecast=ALONE)
    wait_until(lambda: gateway.session.problem.startswith("unreachable"), "a first try")
    wait_until(lambda: httpx.get(f"{gateway.url}/livez").status_code == 200, "REST")
    for route in ("/readyz", "/healthz"):
        answer = httpx.get(gateway.url + route)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/health+json"
        body = answer.json()
        assert body["status"] == "fail"
        assert body["checks"]["mqtt:connection"][0]["status"] == "fail"
        assert body["checks"]["models:loaded"][0]["status"] == "pass"
    assert "gapcast_broker_connected 0.0" in httpx.get(f"{gateway.url}/metrics").text
    answer = httpx.post(f"{gateway.url}/predict", json={"readings": [1.0, 1.1]})
    assert answer.status_code == 200, "a forecast of given readings needs no broker"

    broker.start()
    gateway.wait_connected()
    for route in ("/readyz", "/healthz"):
        answer = httpx.get(gateway.url + route)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/health+json"
        assert answer.json()["status"] == "pass"
        assert answer.json()["checks"]["models:loaded"][0]["output"] == ", ".join(shipped_names())
    assert "gapcast_broker_connected 1.0" in httpx.get(f"{gateway.url}/metrics").text
    peer = connect(broker)
    peer.subscribe("gap/home/forecast")
    for i in range(2):
        peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
    assert peer.wait_for("gap/home/forecast")[0].document["model"] == default_name()


def sockets_of_this_process() -> Iterator[socket.socket]:
    """Yield each open IPv4 connection of this process, whichever library opened it."""
    for opened in Path("/proc/self/fd").iterdir():
        try:
            found = socket.socket(fileno=os.dup(int(opened.name)))
        except OSError:  # closed meanwhile, or no socket
            continue
        with found:
            if found.family == socket.AF_INET and found.type == socket.SOCK_STREAM:
                yield found


def test_answers_are_not_delayed_by_nagle(start_gateway: StartGateway) -> None:
    """Without TCP_NODELAY on the server's side each answer would take 40 ms."""
    gateway = start_gateway(free_port(), connected=False)
    with httpx.Client(base_url=gateway.url) as client:
        wait_until(lambda: client.get("/livez").status_code == 200, "REST")
        served_from = (LOOPBACK, gateway.application.http_port)
        without_delay = [
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for sock in sockets_of_this_process()
            if sock.getsockname() == served_from and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ]
    assert without_delay
    assert all(without_delay)


def test_reconnect_subscribes_and_publishes_status(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = start_gateway(broker)
    before = connect(broker)
    before.subscribe("gap/home/forecast")
    before.publish("gap/home/reading", reading(FIRST, 1.0))
    before.publish("gap/home/reading", reading(FIRST + 1, 1.0))
    before.wait_for("gap/home/forecast")
    before.close()
    broker.stop()
    wait_until(lambda: not gateway.service.queries.connected, "the gateway to see it")
    assert httpx.get(f"{gateway.url}/livez").status_code == 200
    assert httpx.get(f"{gateway.url}/readyz").status_code == 503
    broker.start()
    gateway.wait_connected()
    after = connect(broker)
    after.subscribe("gap/home/forecast")
    after.subscribe("gapcast/+/status")
    assert after.wait_for(STATUS)[0].payload == b"online"
    after.publish("gap/home/reading", reading(FIRST + 2, 1.0))
    assert after.wait_for("gap/home/forecast")[0].document["n_observed"] == 3, "the window outlives the connection"


def test_protocol_version_is_detected(start_gateway: StartGateway, connect: Connect) -> None:
    """amqtt does not answer MQTT 5 at all: after a while 3.1.1 is tried."""
    broker = AmqttBroker()
    broker.start()
    try:
        gateway = start_gateway(broker, mqtt={"protocol": "auto"})
        assert gateway.session.protocol == "3.1.1"
        peer = connect(broker)
        peer.subscribe("gap/home/forecast")
        for i in range(2):
            peer.publish("gap/home/reading", reading(FIRST + i, 1.0))
        peer.wait_for("gap/home/forecast")
    finally:
        broker.stop()


def test_protocol_with_mosquitto_is_mqtt_5(mosquitto: MosquittoBroker, start_gateway: StartGateway) -> None:
    assert start_gateway(mosquitto).session.protocol == "5"


def test_protocol_with_mosquitto_is_the_configured_one(mosquitto: MosquittoBroker, start_gateway: StartGateway) -> None:
    assert start_gateway(mosquitto, mqtt={"protocol": "3.1.1"}).session.protocol == "3.1.1"


@pytest.mark.parametrize("answer", ["refuses the version", "hangs up"])
def test_protocol_with_a_3_1_1_broker_is_3_1_1(start_gateway: StartGateway, answer: str) -> None:
    broker = WireBroker()
    gateway = start_gateway(broker.port, connected=False, mqtt={"protocol": "auto"})
    wire = broker.accept()
    connect = wire.read()
    assert (connect.kind, connect.body[6]) == (CONNECT, 5)
    if answer == "refuses the version":
        wire.connack(reason=0x84)
    wire.close()
    wire = broker.accept()
    connect = wire.read()
    assert (connect.kind, connect.body[6]) == (CONNECT, 4)
    assert gateway.session.protocol == "3.1.1"
    wire.close()
    broker.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock of the waits between connection attempts."""
    made = ManualClock()
    monkeypatch.setattr("gapcast.mqtt.connection.backoff.time", made)
    return made


def wait_for_next_try(gateway: Gateway, clock: ManualClock, longest_s: float) -> None:
    """Wait until the connection is lost, check the wait before the next attempt, and let it pass."""
    backoff = gateway.session._connection._backoff
    wait_until(lambda: backoff.wait_s() > 0, "the end of the connection to be seen")
    assert 0.75 * longest_s <= backoff.wait_s() <= longest_s
    clock.now_s += longest_s


def n_disconnections(lines: list[Any]) -> int:
    """Count the warnings that a connection ended."""
    return [(line["event"], line["log_level"]) for line in lines].count(("mqtt.disconnected", "warning"))


def test_broker_that_always_disconnects_is_not_flooded(start_gateway: StartGateway, clock: ManualClock) -> None:
    broker = WireBroker()
    versions, n_logged = [], []
    with structlog.testing.capture_logs() as lines:
        gateway = start_gateway(broker.port, connected=False, mqtt={"protocol": "auto"})
        for longest_s in (0.25, 0.5, 1.0, 2.0):
            wire = broker.accept()
            versions.append(wire.read().body[6])
            n_logged.append(n_disconnections(lines))
            wire.close()
            wait_for_next_try(gateway, clock, longest_s)
    assert versions == [5, 4, 5, 4]
    assert n_logged == [0, 0, 1, 1], "once neither version has worked"
    assert "gapcast_broker_disconnects_total 0.0" in httpx.get(f"{gateway.url}/metrics").text, "none was accepted"
    broker.close()


def test_refused_subscription_is_not_ready(start_gateway: StartGateway) -> None:
    broker = WireBroker()
    gateway = start_gateway(broker.port, connected=False)
    wire = broker.accept()
    assert wire.read().kind == CONNECT
    wire.connack()
    packets = {packet.kind: packet for packet in (wire.read(), wire.read())}
    wire.puback(packets[PUBLISH].packet_id)
    wire.suback(packets[SUBSCRIBE].packet_id, reason=0x87)
    wait_until(lambda: "refused" in gateway.session.problem, "the refusal to be seen")
    assert not gateway.service.queries.connected
    answer = httpx.get(f"{gateway.url}/readyz")
    assert answer.status_code == 503
    assert "subscription" in answer.json()["checks"]["mqtt:connection"][0]["output"]
    stopping = threading.Thread(target=gateway.stop, daemon=True)
    stopping.start()
    packet = wire.read()
    assert (packet.topic, packet.payload) == (STATUS, b"offline"), "the status is still online"
    wire.puback(packet.packet_id)
    assert wire.read().kind == DISCONNECT
    stopping.join()
    wire.close()
    broker.close()


def test_broker_that_kicks_clients_is_not_flooded(start_gateway: StartGateway, clock: ManualClock) -> None:
    broker = WireBroker()
    gateway = start_gateway(broker.port, connected=False)
    for longest_s in (0.25, 0.5, 1.0, 2.0):
        wire = broker.accept()
        wire.open()
        wire.close()
        wait_for_next_try(gateway, clock, longest_s)
    assert "gapcast_broker_disconnects_total 4.0" in httpx.get(f"{gateway.url}/metrics").text
    broker.close()


def test_status_not_confirmed_is_pending_once(start_gateway: StartGateway, clock: ManualClock) -> None:
    """Some brokers end the connection of an account that may not write a topic, here the status topic."""
    broker = WireBroker()
    gateway = start_gateway(broker.port, connected=False)
    with structlog.testing.capture_logs() as lines:
        for longest_s in (0.25, 0.5, 1.0, 2.0):
            wire = broker.accept()
            assert wire.read().kind == CONNECT
            wire.connack()
            while wire.read().kind != PUBLISH:
                pass
            wire.close()
            wait_for_next_try(gateway, clock, longest_s)
    assert n_disconnections(lines) == 1
    assert gateway.session.n_unconfirmed == 1
    wire = broker.accept()
    wire.open()
    gateway.wait_connected()
    wait_until(lambda: gateway.session.n_unconfirmed == 0, "the confirmation")
    wire.close()
    broker.close()


def test_wrong_password_keeps_the_service_running(tmp_path: Path, start_gateway: StartGateway) -> None:
    broker = WireBroker()
    gateway = start_gateway(broker.port, connected=False, mqtt={"username": "meter", "password": "wrong"})
    wire = broker.accept()
    connect = wire.read()
    assert b"\0\5meter\0\5wrong" in connect.body
    wire.connack(reason=0x86)  # bad user name or password
    wait_until(lambda: "refused" in gateway.session.problem, "the refusal to be seen")
    wire.close()
    assert httpx.get(f"{gateway.url}/livez").status_code == 200
    assert httpx.get(f"{gateway.url}/readyz").status_code == 503
    while not gateway.service.queries.connected:  # it tries again, and gives up where this machine is slow to answer
        wire = broker.accept()
        try:
            wire.open()
            gateway.wait_connected()
        except (AssertionError, ConnectionError):
            wire.close()
    wire.close()
    broker.close()


@pytest.mark.parametrize(
    ("malformed", "reason"),
    [
        pytest.param(
            b"\x30\xff\xff\xff\xff\x7f", "malformed packet: a remaining length of more than four bytes",
            id="a length of five bytes",
        ),
        pytest.param(
            b"\x32\x04\x00\x50ab", "malformed packet: it ends within its own header",
            id="a PUBLISH shorter than its topic",
        ),
        pytest.param(b"\x40\x01\x00", "malformed packet: it ends within its own header", id="half a PUBACK"),
        pytest.param(b"\x00\x00", "Protocol error", id="a packet of no type"),
        pytest.param(b"\xe0\x00", "Normal disconnection", id="a DISCONNECT"),
    ],
)  # fmt: skip
def test_bytes_that_are_not_mqtt_end_only_the_connection(
    start_gateway: StartGateway, malformed: bytes, reason: str
) -> None:
    broker = WireBroker()
    gateway = start_gateway(broker.port, connected=False)
    wire = broker.accept()
    wire.open()
    gateway.wait_connected()
    with structlog.testing.capture_logs() as lines:
        wire.send_encoded(malformed)
        again = broker.accept()
    assert [line["reason"] for line in lines if line["event"] == "mqtt.disconnected"] == [reason]
    again.open()
    wait_until(lambda: gateway.session.n_connects == 2 and gateway.service.queries.connected, "the next connection")
    wire.close()
    again.close()
    broker.close()
