"""At-least-once delivery: the order of packets on the wire, and lost connections."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from gapcast.core.time_grid import minute_label
from gapcast.mqtt.connection import subscriptions
from gapcast.mqtt.session import session as session_module
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, power, reading
from tests.support.brokers import MosquittoBroker
from tests.support.clocks import coming_midnight
from tests.support.gateways import ALONE, GATEWAY, REJECTED, STATUS, Gateway
from tests.support.waiting import wait_until
from tests.support.wire import CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBSCRIBE, Packet, Wire, WireBroker

IN, OUT = "gap/home/reading", "gap/home/forecast"


@pytest.fixture
def wire_broker() -> Iterator[WireBroker]:
    made = WireBroker()
    yield made
    made.close()


def opened(wire_broker: WireBroker, start_gateway: StartGateway, **options: Any) -> tuple[Gateway, Wire]:
    """Return a gateway without score reports and outlooks, which publishes only forecasts after a reading."""
    reports = {"learning": {"report_every_min": 0}, "outlook": {"enabled": False}}
    gateway = start_gateway(wire_broker.port, connected=False, **reports)
    wire = wire_broker.accept()
    wire.open(**options)
    gateway.wait_connected()
    return gateway, wire


def close(gateway: Gateway, wire: Wire) -> None:
    """Stop the gateway, and confirm its ``offline`` like a broker."""
    stopping = threading.Thread(target=gateway.stop, daemon=True)
    stopping.start()
    while (packet := wire.read()).kind != DISCONNECT:
        if packet.kind == PUBLISH and packet.packet_id:
            wire.puback(packet.packet_id)
    stopping.join()
    wire.close()


def minute_of_forecast(packet: Packet) -> str:
    return packet.payload.decode().partition('"observed_at":"')[2][:20]


def test_connect_packet_and_subscription(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway = start_gateway(wire_broker.port, connected=False)
    wire = wire_broker.accept()
    connect = wire.open()
    protocol, level, flags = connect.body[2:6], connect.body[6], connect.body[7]
    assert (protocol, level) == (b"MQTT", 5)
    assert not flags & 0x02, "a clean start would drop what waits for it"
    assert flags & 0x04, "no last will"
    assert flags & 0x18 == 0x08, "the will's QoS is not 1"
    assert flags & 0x20, "the will is not retained"
    for named in (f"gapcast-{GATEWAY}".encode(), STATUS.encode(), b"offline"):
        assert len(named).to_bytes(2, "big") + named in connect.body
    assert b"\x11" + (86_400).to_bytes(4, "big") in connect.body, "no session expiry"
    assert b"\x21" + (1_024).to_bytes(2, "big") in connect.body, "no receive maximum"
    close(gateway, wire)


def test_reading_is_acknowledged_after_its_forecast_is_confirmed(
    wire_broker: WireBroker, start_gateway: StartGateway
) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    wire.publish(IN, reading(FIRST, 1.0), packet_id=11)
    first = wire.read()
    assert (first.kind, first.packet_id) == (PUBACK, 11), "a first reading has nothing to wait for"

    wire.publish(IN, reading(FIRST + 1, 1.0), packet_id=12)
    forecast = wire.read()
    assert (forecast.kind, forecast.topic) == (PUBLISH, OUT)
    wire.publish(IN, reading(FIRST + 2, 1.0), packet_id=13)
    wire.publish(IN, reading(FIRST + 2, 1.0), packet_id=14)  # a duplicate, with nothing of its own to wait for
    second = wire.read()
    assert (second.kind, second.topic) == (PUBLISH, OUT), "acknowledged before the forecast was confirmed"
    gateway.wait_taken(4)
    assert wire.read_all_there() == []

    wire.puback(second.packet_id)  # out of order: readings are acknowledged in theirs
    wire.publish(IN, reading(FIRST + 3, 1.0), packet_id=15)
    third = wire.read()
    assert (third.kind, minute_of_forecast(third)) == (PUBLISH, minute_label(FIRST + 3))
    assert wire.read_all_there() == []

    wire.puback(forecast.packet_id)
    assert [(p.kind, p.packet_id) for p in (wire.read(), wire.read(), wire.read())] == [
        (PUBACK, 12), (PUBACK, 13), (PUBACK, 14),
    ]  # fmt: skip
    wire.puback(third.packet_id)
    assert wire.read().packet_id == 15
    close(gateway, wire)


def test_offline_unconfirmed_is_left_to_the_last_will(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    stopping = threading.Thread(target=gateway.stop, daemon=True)
    stopping.start()
    assert wire.read().payload == b"offline"
    with pytest.raises((AssertionError, ConnectionResetError), match=r"hung up|reset"):
        wire.read()  # a DISCONNECT would tell the broker to forget the will
    stopping.join()
    wire.close()


def test_unconfirmed_forecast_is_sent_again_on_reconnect(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    wire.publish(IN, reading(FIRST, 1.0), packet_id=1)
    assert wire.read().kind == PUBACK
    wire.publish(IN, reading(FIRST + 1, 1.0), packet_id=2)
    forecast = wire.read()
    wire.close()  # the broker falls over before it confirms

    wire = wire_broker.accept()
    assert wire.read().kind == CONNECT
    wire.connack(session_present=True)
    online, again = 0, None
    while not (online and again):
        packet = wire.read()
        if packet.kind == SUBSCRIBE:
            wire.suback(packet.packet_id)
        elif packet.topic == STATUS:
            assert packet.payload == b"online"
            online = packet.packet_id
        else:
            again = packet
    assert again.is_duplicate
    assert (again.topic, again.payload, again.packet_id) == (OUT, forecast.payload, forecast.packet_id)
    wire.puback(online)
    wire.publish(IN, reading(FIRST + 1, 1.0), packet_id=2, again=True)  # the reading too comes again
    gateway.wait_taken(3)
    assert [packet for packet in wire.read_all_there() if packet.kind == PUBACK] == [], "the forecast is not safe yet"
    wire.puback(again.packet_id)
    acknowledged = wire.read()
    assert (acknowledged.kind, acknowledged.packet_id) == (PUBACK, 2)
    assert gateway.service.statistics.readings == {"accepted": 2, "duplicate": 1, "late": 0, "rejected": 0}
    close(gateway, wire)


def test_subscription_refused_is_requested_again(
    wire_broker: WireBroker, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "_RETRY_S", 0.0)
    with structlog.testing.capture_logs() as logged:
        gateway = start_gateway(wire_broker.port, connected=False)
        wire = wire_broker.accept()
        assert wire.read().kind == CONNECT
        wire.connack()
        n_refused = 3
        while n_refused:
            packet = wire.read()
            if packet.kind == SUBSCRIBE:
                wire.suback(packet.packet_id, reason=0x87)  # not authorized
                n_refused -= 1
            else:
                wire.puback(packet.packet_id)
        wire.suback(wire.read().packet_id)  # the permission was granted meanwhile
        gateway.wait_connected()
    refusals = [entry["log_level"] for entry in logged if entry["event"] == "mqtt.subscription_refused"]
    assert refusals == ["error"]
    close(gateway, wire)


def test_readings_before_the_subscription_is_granted_have_their_demands(
    wire_broker: WireBroker, start_gateway: StartGateway
) -> None:
    """Messages that a broker queued during a restart arrive right after its CONNACK."""
    gateway = start_gateway(wire_broker.port, connected=False, demand={"limit_kw": 2.5})
    wire = wire_broker.accept()
    assert wire.read().kind == CONNECT
    wire.connack(session_present=True)
    first = coming_midnight()
    for i in range(2):
        wire.publish(IN, reading(first + i, 1.0), packet_id=i + 1)
    wanted = {OUT, "gap/home/outlook", "gap/home/demand", "gap/home/headroom_w", "gap/home/max_power_w"}
    subscribing = None
    while wanted or subscribing is None:
        packet = wire.read()
        if packet.kind == PUBLISH:
            wanted.discard(packet.topic)
            wire.puback(packet.packet_id)
        elif packet.kind == SUBSCRIBE:
            subscribing = packet
    wire.suback(subscribing.packet_id)
    gateway.wait_connected()
    close(gateway, wire)


def test_redelivered_readings_do_not_restart_the_stream(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    n = 6
    for i in range(n):
        wire.publish(IN, reading(FIRST + i, power(i)), packet_id=i + 1)
    gateway.wait_taken(n)
    wire.close()

    wire = wire_broker.accept()
    assert wire.read().kind == CONNECT
    wire.connack(session_present=True)
    before = [wire.read()]
    while before[-1].kind != SUBSCRIBE:
        before.append(wire.read())
    wire.suback(before[-1].packet_id)
    for i in range(1, n):  # all but the first, which had been acknowledged
        wire.publish(IN, reading(FIRST + i, power(i)), packet_id=i + 1, again=True)
    wire.publish(IN, reading(FIRST + n, power(n)), packet_id=n + 1)
    gateway.wait_taken(2 * n)
    assert gateway.service.statistics.readings == {"accepted": n + 1, "duplicate": n - 1, "late": 0, "rejected": 0}
    sent = [packet for packet in before if packet.kind == PUBLISH]
    while f'"n_observed":{n + 1},' not in sent[-1].payload.decode():
        sent += [packet for packet in (wire.read(),) if packet.kind == PUBLISH]
    for packet in sent:
        wire.puback(packet.packet_id)
    close(gateway, wire)


def test_forecast_refused_by_the_broker_does_not_block(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    wire.publish(IN, reading(FIRST, 1.0), packet_id=1)
    assert wire.read().kind == PUBACK
    wire.publish(IN, reading(FIRST + 1, 1.0), packet_id=2)
    forecast = wire.read()
    wire.puback(forecast.packet_id, reason=0x87)  # not authorized
    assert wire.read().packet_id == 2
    close(gateway, wire)


def test_bad_reading_is_acknowledged(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    wire.publish(IN, "nonsense", packet_id=7)
    packets = {(packet.kind, packet.topic, packet.packet_id if packet.kind == PUBACK else 0): packet
               for packet in (wire.read(), wire.read())}  # fmt: skip
    assert set(packets) == {(PUBLISH, REJECTED, 0), (PUBACK, "", 7)}
    wire.puback(packets[PUBLISH, REJECTED, 0].packet_id)
    close(gateway, wire)


def test_receive_maximum_is_respected(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    at_most, n = 5, 40
    gateway, wire = opened(wire_broker, start_gateway, receive_maximum=at_most)
    for i in range(n + 1):
        wire.publish(IN, reading(FIRST + i, power(i)), packet_id=i + 1)
    gateway.wait_taken(n + 1)
    forecasts: list[Packet] = []
    while len(forecasts) < at_most:
        forecasts += [packet for packet in (wire.read(),) if packet.kind == PUBLISH]
    assert [packet for packet in wire.read_all_there() if packet.kind == PUBLISH] == [], "more than the maximum"
    unconfirmed = list(forecasts)
    while len(forecasts) < n:
        wire.puback(unconfirmed.pop(0).packet_id)
        packet = wire.read()
        while packet.kind != PUBLISH:
            assert packet.kind == PUBACK
            packet = wire.read()
        forecasts.append(packet)
        unconfirmed.append(packet)
        assert [more for more in wire.read_all_there() if more.kind == PUBLISH] == [], (
            "one confirmed, more than one sent"
        )
    assert [minute_of_forecast(packet) for packet in forecasts] == [minute_label(FIRST + 1 + i) for i in range(n)]
    for packet in unconfirmed:
        wire.puback(packet.packet_id)
    close(gateway, wire)


def test_late_confirmations_lose_no_forecast_of_a_flood(
    wire_broker: WireBroker, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More messages are unconfirmed than allowed, and more queued than one batch: both continue after confirmation."""
    monkeypatch.setattr(session_module, "_MAX_UNCONFIRMED", 600)
    n = 2_500
    gateway, wire = opened(wire_broker, start_gateway)
    for i in range(n + 1):
        wire.publish(IN, reading(FIRST + i, power(i)), packet_id=0)
    wait_until(lambda: gateway.session.n_unconfirmed >= 600, "too many unconfirmed")
    found: list[str] = []
    while len(found) < n:
        packet = wire.read()
        assert packet.kind == PUBLISH
        found.append(minute_of_forecast(packet))
        wire.puback(packet.packet_id)
    assert found == [minute_label(FIRST + 1 + i) for i in range(n)]
    close(gateway, wire)


def test_stop_during_a_flood(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    # Small enough that everything the gateway sends meanwhile is read and confirmed at once.
    blocks = [
        wire.encoded([(f"gap/d{d}/reading", reading(FIRST, 1.0)) for d in range(first, first + 100)])
        for first in range(0, 5_000, 100)
    ]
    packets: list[Packet] = []

    def flood() -> None:
        with contextlib.suppress(OSError):  # until the gateway hangs up
            for block in itertools.cycle(blocks):
                if any(packet.kind == DISCONNECT for packet in packets):
                    return
                wire.send_encoded(block)
                for packet in wire.read_all_there():
                    packets.append(packet)
                    if packet.kind == PUBLISH:
                        wire.puback(packet.packet_id)

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    gateway.wait_taken(20_000)
    gateway.stop()
    flooding.join()
    wire.close()
    assert [packet.payload for packet in packets if packet.topic == STATUS] == [b"offline"]


def test_change_during_a_stop_survives_or_is_not_answered(wire_broker: WireBroker, start_gateway: StartGateway) -> None:
    gateway, wire = opened(wire_broker, start_gateway)
    stopping = threading.Thread(target=gateway.stop, daemon=True)
    stopping.start()
    offline = wire.read()
    assert offline.payload == b"offline"
    plan = [{"kw": 7.4, "minutes": 60}]
    try:
        is_answered = httpx.put(f"{gateway.url}/devices/home/plan", json=plan).is_success
    except httpx.TransportError:
        is_answered = False
    wire.puback(offline.packet_id)
    stopping.join()
    wire.close()
    again = start_gateway(wire_broker.port, connected=False)
    is_known = httpx.get(f"{again.url}/devices/home/plan").is_success
    again.stop()
    assert is_answered == is_known


# --- a real broker ------------------------------------------------------------------------------------


def test_broker_restart_loses_no_forecast(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    devices, n_minutes = [f"house-{d}" for d in range(4)], 60
    gateway = start_gateway(mosquitto)
    listener = connect(mosquitto, client_id="listener", persistent=True)
    listener.subscribe("gap/+/forecast")
    listener.subscribe("gapcast/+/status")
    meter = connect(mosquitto, client_id="meter", persistent=True)
    expected = {(device, minute_label(FIRST + i)) for device in devices for i in range(1, n_minutes)}

    def publish(first: int, last: int) -> None:
        for i in range(first, last):
            for device in devices:
                meter.send(f"gap/{device}/reading", reading(FIRST + i, power(i)))

    def found() -> set[tuple[str, str]]:
        forecasts = [message.document for message in listener.messages if message.topic.endswith("/forecast")]
        return {(forecast["device"], forecast["observed_at"]) for forecast in forecasts}

    publish(0, 30)
    wait_until(lambda: len(found()) > 20, "the stream to flow")
    mosquitto.stop()
    publish(30, 45)
    wait_until(lambda: not gateway.service.queries.connected, "the gateway to see it")
    mosquitto.start()
    gateway.wait_connected()
    publish(45, n_minutes)
    wait_until(lambda: found() >= expected, lambda: f"forecasts of {sorted(expected - found())}")
    assert found() == expected
    assert gateway.session.n_connects == 2


def test_readings_queued_while_offline_are_forecast(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    start_gateway(mosquitto).stop()
    for i in range(50):
        peer.publish(IN, reading(FIRST + i, power(i)))
    assert peer.on(OUT) == []
    start_gateway(mosquitto)
    observed = [message.document["observed_at"] for message in peer.wait_for(OUT, 49)]
    assert observed == [minute_label(FIRST + i) for i in range(1, 50)]


def test_broker_with_receive_maximum_5_keeps_the_connection(
    tmp_path: Path, start_gateway: StartGateway, connect: Connect
) -> None:
    broker = MosquittoBroker(tmp_path / "five", ["max_inflight_messages 5"])
    broker.start()
    try:
        gateway = start_gateway(broker)
        peer = connect(broker)
        peer.subscribe("gap/+/forecast")
        devices = [f"d{d}" for d in range(100)]
        for i in range(6):
            for device in devices:
                peer.send(f"gap/{device}/reading", reading(FIRST + i, power(i)))
        peer.wait_that(lambda messages: len(messages) >= 500, "500 forecasts")
        assert len(peer.messages) == 500
        assert gateway.session.n_connects == 1, "the broker hung up"
    finally:
        broker.stop()


def test_broker_with_a_maximum_packet_size_keeps_the_connection(
    tmp_path: Path, start_gateway: StartGateway, connect: Connect
) -> None:
    broker = MosquittoBroker(tmp_path / "short", ["max_packet_size 600"])
    broker.start()
    try:
        with structlog.testing.capture_logs() as logged:
            gateway = start_gateway(broker, mqtt={"protocol": "5"})
            peer = connect(broker)
            peer.subscribe(OUT)
            for i in range(6):
                peer.send(IN, reading(FIRST + i, power(i)))
            observed = [message.document["observed_at"] for message in peer.wait_for(OUT, 5)]
            gateway.wait_taken(6)
        assert observed == [minute_label(FIRST + i) for i in range(1, 6)]
        assert gateway.session.n_connects == 1, "the broker hung up"
        (too_long,) = [one for one in logged if one["event"] == "mqtt.message_too_long"]
        assert (too_long["topic"], too_long["max_bytes"]) == ("gap/home/outlook", 600)
    finally:
        broker.stop()


def test_gateway_restart_keeps_windows_and_misses_no_reading(
    mosquitto: MosquittoBroker, start_gateway: StartGateway, connect: Connect
) -> None:
    peer = connect(mosquitto)
    peer.subscribe("gap/+/forecast")
    gateway = start_gateway(mosquitto, forecast=ALONE | {"model": "lstm-5-3"})
    for i in range(20):
        peer.send(IN, reading(FIRST + i, power(i)))
    peer.wait_for(OUT, 5)
    gateway.stop()
    for i in range(20, 40):
        peer.send(IN, reading(FIRST + i, power(i)))
    start_gateway(mosquitto, forecast=ALONE | {"model": "lstm-5-3"})
    last = minute_label(FIRST + 39)
    peer.wait_that(lambda messages: last in {m.document["observed_at"] for m in messages}, "the last forecast")
    n_observed = {m.document["observed_at"]: m.document["n_observed"] for m in peer.on(OUT)}
    assert n_observed == {minute_label(FIRST + i): min(i + 1, 30) for i in range(1, 40)}
