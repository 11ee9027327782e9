"""Attacks by another MQTT account: messages that a broker without access control lists lets anyone publish."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bench.attacks.attack import Attack, AttackReport, Victim
from bench.attacks.json_bodies import hostile_documents
from bench.faults.stage import FaultError, wait_until
from bench.ports import LOOPBACK
from gapcast.mqtt.connection.client import disconnect

#: A broker that has not acknowledged a few messages within this time has closed the connection.
_BROKER_REFUSES_S = 3.0
_ANSWER_TIMEOUT_S = 5.0
_PAYLOAD_BYTES = 256 << 10
_UNANSWERED_SHOWN = 3


class _Attacker:
    """An MQTT 5 client that waits for the broker's acknowledgements."""

    def __init__(self, port: int, client_id: str) -> None:
        self.answers: dict[bytes, bytes] = {}
        self._subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(1_000)
        self.client.on_message = self._collect
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.connect(LOOPBACK, port)
        self.client.loop_start()
        wait_until(self.client.is_connected, "the attacker's connection")

    def _collect(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.answers[getattr(message.properties, "CorrelationData", b"")] = bytes(message.payload)

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe, and wait for the SUBACK."""
        self.client.subscribe(topic_filter, 1)
        wait_until(self._subscribed.is_set, "the attacker's subscription")

    def send(
        self,
        messages: list[tuple[str, bytes]],
        *,
        retain: bool = False,
        properties: Properties | None = None,
        timeout_s: float = 30.0,
    ) -> int:
        """Publish at QoS 1 and wait for the acknowledgements; return the number of usable topics."""
        sent = []
        for topic, payload in messages:
            with contextlib.suppress(ValueError):  # a topic that cannot be encoded
                sent.append(self.client.publish(topic, payload, 1, retain, properties))
        wait_until(lambda: all(one.is_published() for one in sent), "the broker's PUBACKs", timeout_s)
        return len(sent)

    def close(self) -> None:
        """Disconnect."""
        disconnect(self.client)


@contextmanager
def _attacker(victim: Victim) -> Iterator[_Attacker]:
    attacker = _Attacker(victim.target.mqtt_port, "attacker")
    try:
        yield attacker
    finally:
        attacker.close()


def _publish_properties(**values: object) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def send_hostile_requests(victim: Victim) -> AttackReport:
    """Send each hostile document to the predict topic; each must get an answer."""
    documents, gateway = hostile_documents(), victim.target.gateway_id
    report = AttackReport(
        f"{len(documents)} requests to the predict topic: huge integers, deep arrays, 1e999, invalid UTF-8"
    )
    unanswered = []
    with _attacker(victim) as attacker:
        answers = f"gapcast/{gateway}/answer/attacker"
        attacker.subscribe(answers)

        def answered(correlation: bytes) -> bool:
            return correlation in attacker.answers or not victim.target.is_alive

        for name, document in documents.items():
            correlation = name.encode()
            properties = _publish_properties(ResponseTopic=answers, CorrelationData=correlation)
            attacker.send([(f"gapcast/{gateway}/predict", document)], properties=properties)
            try:
                wait_until(partial(answered, correlation), "an answer", _ANSWER_TIMEOUT_S)
            except FaultError:
                unanswered.append(name)
            if not victim.target.is_alive:
                report.problems.append(f"{name} ended the gateway")
                break
    if unanswered:
        report.problems.append(f"no answer to {len(unanswered)}: {', '.join(unanswered[:_UNANSWERED_SHOWN])}")
    return report


def send_hostile_readings(victim: Victim) -> AttackReport:
    """Send each hostile document as a reading, also for a device that the gateway forecasts."""
    documents = hostile_documents()
    devices = ["hostile", victim.device]
    messages = [(f"gap/{device}/reading", document) for document in documents.values() for device in devices]
    with _attacker(victim) as attacker:
        n_sent = attacker.send(messages * victim.choose(5, 1))
    return AttackReport(f"{n_sent} readings: the same documents on two devices' reading topics")


def send_large_payloads(victim: Victim) -> AttackReport:
    """Send payloads of 256 kB, as readings and as requests, faster than they can be handled."""
    n_each = victim.choose(200, 50)
    topics = ["gap/large/reading", f"gapcast/{victim.target.gateway_id}/predict"]
    payload = b"[" + b"1," * (_PAYLOAD_BYTES // 2 - 1) + b"1]"
    with _attacker(victim) as attacker:
        n_sent = attacker.send([(topic, payload) for topic in topics for _ in range(n_each)])
    return AttackReport(f"{n_sent} payloads of 256 kB ({n_sent * _PAYLOAD_BYTES / 1e6:.0f} MB)")


def send_hostile_topics(victim: Victim) -> AttackReport:
    """Send valid readings of devices whose names are paths, too long, or invalid."""
    names = [
        "..",
        ".",
        "...",
        "~",
        "%2e%2e",
        "..%2f..",
        "a" * 65,
        "a" * 65_000,
        "ä",
        "a b",
        "\u202e",
        "<b>",
        "",
        "$SYS",
        "-",
    ]
    topics = [f"gap/{name}/reading" for name in names]
    topics += [
        "$SYS/broker/uptime",
        "$share/g/gap/x/reading",
        "$CONTROL/x",
        "gap/x/y/reading",
        "/gap/x/reading",
        "gap/reading",
    ]
    payloads = [f'{{"ts": "2010-11-01T00:0{minute}:00Z", "gap_kw": 1.5}}'.encode() for minute in range(3)]
    with _attacker(victim) as attacker:
        sent = sum(_send_or_drop(attacker, topic, payload) for topic in topics for payload in payloads)
    report = AttackReport(
        f"{sent} readings of devices named .., with 65,000 characters, with control characters; $ topics"
    )
    listed = victim.target.json("/devices?limit=1000")
    known = {device["device"] for device in (listed or {}).get("devices", [])}
    if accepted := known & {"..", "."}:
        report.problems.append(f"accepted as device names: {', '.join(sorted(accepted))}")
    return report


def _send_or_drop(attacker: _Attacker, topic: str, payload: bytes) -> bool:
    """Publish at QoS 0, since the broker may close the connection over the topic; return whether it was sent."""
    with contextlib.suppress(ValueError):
        wait_until(attacker.client.is_connected, "the attacker's connection")
        return attacker.client.publish(topic, payload, 0).rc == paho.MQTT_ERR_SUCCESS
    return False


def send_hostile_properties(victim: Victim) -> AttackReport:
    """Send readings and requests with large properties and response topics that are not the sender's."""
    gateway = victim.target.gateway_id
    many = [(f"k{index}" * 10, "v" * 100) for index in range(500)]
    reading, request = b'{"ts": "2010-11-01T00:00:00Z", "gap_kw": 1}', b'{"readings": [1, 2]}'
    predict = f"gapcast/{gateway}/predict"
    response_topics = (
        predict,
        f"gap/{victim.device}/reading",
        "$SYS/broker/x",
        f"gapcast/{gateway}/answer/../../status",
        f"gapcast/{gateway}/answer/" + "a/" * 90,
        "a/" * 20_000,
    )
    properties = [
        _publish_properties(UserProperty=many),
        _publish_properties(CorrelationData=b"\x00" * 65_000),
        _publish_properties(UserProperty=[("", ""), ("a", "b"), ("\u202e", "\ud7ff")], ContentType="x" * 60_000),
        _publish_properties(MessageExpiryInterval=0, PayloadFormatIndicator=1),
        *(_publish_properties(ResponseTopic=topic, CorrelationData=b"x") for topic in response_topics),
    ]
    n_sent = n_refused = 0
    for one in properties:
        with _attacker(victim) as attacker:
            try:
                messages = [("gap/properties/reading", reading), (predict, request)] * 20
                n_sent += attacker.send(messages, properties=one, timeout_s=_BROKER_REFUSES_S)
            except FaultError:  # mosquitto closed the connection: the message reaches no gateway
                n_refused += 1
    by_broker = f"; {n_refused} kinds refused by the broker" if n_refused else ""
    return AttackReport(f"{n_sent} messages with 60 kB of properties, and with foreign response topics{by_broker}")


def forge_forecasts(victim: Victim) -> AttackReport:
    """Publish on the topics that belong to the gateway."""
    gateway, device = victim.target.gateway_id, victim.device
    forecast = b'{"v": 1, "device": "x", "observed_at": "2031-01-01T00:00:00Z", "gap_kw": 1e300}'
    topics = [
        f"gap/{device}/forecast",
        f"gap/{device}/scores",
        f"gapcast/{gateway}/events",
        f"gapcast/{gateway}/rejected",
    ]
    messages = [(topic, payload) for topic in topics for payload in (forecast, b"\xff", b"1" * 5_000)]
    messages += [(f"gapcast/{gateway}/status", b"offline"), (f"gap/{device}/availability", b"\xff")]
    messages += [("homeassistant/status", b"\xff"), (f"gapcast/{gateway}/distribution_check", b"1" * 5_000)]
    with _attacker(victim) as attacker:
        n_sent = attacker.send(messages * victim.choose(20, 5), retain=True)
    return AttackReport(f"{n_sent} forged forecasts, scores and statuses, retained")


def retain_garbage(victim: Victim) -> AttackReport:
    """Retain hostile documents on reading topics and the predict topic; they are delivered again at each start."""
    documents = list(hostile_documents().values())
    n_topics = victim.choose(200, 60)
    messages = [(f"gap/retained-{index}/reading", documents[index % len(documents)]) for index in range(n_topics)]
    messages.append((f"gapcast/{victim.target.gateway_id}/predict", documents[0]))
    with _attacker(victim) as attacker:
        n_sent = attacker.send(messages, retain=True)
    return AttackReport(f"{n_sent} retained messages, delivered again after the restart")


def take_over_session(victim: Victim) -> AttackReport:
    """Connect with the gateway's client id, which makes the broker close the gateway's connection."""
    target, n_times = victim.target, victim.choose(3, 1)
    report = AttackReport(f"{n_times} connections with the gateway's client id")

    def has_reconnected(n_before: int) -> bool:
        return _n_connections(victim) > n_before

    for _ in range(n_times):
        n_before = _n_connections(victim)
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"gapcast-{target.gateway_id}", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.manual_ack_set(True)  # delivered messages stay unacknowledged, for the gateway
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 86_400
        client.connect(LOOPBACK, target.mqtt_port, clean_start=False, properties=properties)
        client.loop_start()
        try:
            wait_until(partial(has_reconnected, n_before), "the gateway to reconnect")
        except FaultError as error:
            report.problems.append(str(error))
        finally:
            client.loop_stop()
            client.disconnect()
    return report


def _n_connections(victim: Victim) -> int:
    return victim.target.log().count('"mqtt.connected"')


ATTACKS = [
    Attack("mqtt hostile requests", "mqtt", send_hostile_requests),
    Attack("mqtt hostile readings", "mqtt", send_hostile_readings),
    Attack("mqtt large payloads", "mqtt", send_large_payloads),
    Attack("mqtt hostile topics", "mqtt", send_hostile_topics),
    Attack("mqtt hostile properties", "mqtt", send_hostile_properties),
    Attack("mqtt forged forecasts", "mqtt", forge_forecasts),
    Attack("mqtt client id taken", "mqtt", take_over_session),
    Attack("mqtt retained garbage", "mqtt", retain_garbage),
]


def add_devices(victim: Victim) -> AttackReport:
    """Publish two readings of each of many new devices."""
    n_devices = victim.choose(10_000, 2_000)
    messages = [
        (f"gap/new-{index:06d}/reading", f'{{"ts": "2010-11-01T00:0{minute}:00Z", "gap_kw": 1.5}}'.encode())
        for minute in range(2)
        for index in range(n_devices)
    ]
    with _attacker(victim) as attacker:
        attacker.send(messages)
    wait_until(lambda: victim.target.metrics().get("gapcast_devices", 0) >= n_devices, "the devices to be known")
    return AttackReport(f"two readings of each of {n_devices:,} new devices")


def list_devices(victim: Victim) -> AttackReport:
    """Read the lists of devices and forecasts again and again."""
    n_times = victim.choose(10, 3)
    routes = ("/predict", "/devices", "/devices?limit=1000", "/devices?limit=1000000000", "/predict?limit=1000000000")
    report = AttackReport(f"GET /predict and GET /devices, {n_times} times each, with and without huge limits")
    for route in routes:
        largest_bytes = max(len(victim.target.get(route)[1]) for _ in range(n_times))
        if largest_bytes > _MAX_LIST_BYTES:
            report.problems.append(f"GET {route} answers with {largest_bytes / 1e6:.1f} MB")
    return report


#: Maximum size of a response that lists a page of devices.
_MAX_LIST_BYTES = 4_000_000

#: docs/operations.md: 1.7 kB for each of 10,000 devices, and 26 kB more for each of the 2,000 with learning state,
#: which is stored twice while a checkpoint is written.
_DEVICES_MB = 10_000 * 1.7e-3 + 2 * 2_000 * 26e-3

DEVICE_ATTACKS = [
    Attack("mqtt new devices", "devices", add_devices, _DEVICES_MB),
    Attack("http lists of devices", "devices", list_devices),
]
