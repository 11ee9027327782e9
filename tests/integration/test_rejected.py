"""Invalid messages are counted and published on the rejected topic, and change nothing else."""

from __future__ import annotations

import base64
import json

import pytest

from gapcast.core.time_grid import minute_label
from tests.integration.conftest import Connect, StartGateway
from tests.integration.test_stream import FIRST, assert_same, offline, power, reading, without_issue
from tests.support.brokers import Broker
from tests.support.gateways import ALONE, REJECTED

T = '"2010-11-01T00:02:00Z"'

#: Payload -> the reason for its rejection, and words of the detail.
PAYLOADS: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "empty", "the payload is empty"),
    "a word": (b"on", "not_json", "the payload is not JSON"),
    "half an object": (b'{"gap_kw": 1.', "not_json", "the payload is not JSON"),
    "two numbers": (b"1.2 1.3", "not_json", "the payload is not JSON"),
    "a comma for a point": (b"1,23", "not_json", "the payload is not JSON"),
    "bytes that are not text": (b"\xff\xfe\x00\x01", "not_json", "the payload is not JSON"),
    "brackets without end": (b"[" * 60_000, "not_json", "the payload is not JSON"),
    "NaN": (b"NaN", "not_finite", "NaN and Infinity are not JSON"),
    "NaN in an object": (b'{"ts": %s, "gap_kw": NaN}' % T.encode(), "not_finite", "NaN and Infinity are not JSON"),
    "infinity": (b"Infinity", "not_finite", "NaN and Infinity are not JSON"),
    "minus infinity": (b"-Infinity", "not_finite", "NaN and Infinity are not JSON"),
    "beyond any float": (b"1e999", "not_finite", "power must be finite"),
    "watts": (b"1230", "out_of_range", "if these are watts, send kW (1.23)"),
    "watts in an object": (b'{"ts": %s, "gap_kw": 1230}' % T.encode(), "out_of_range", "if these are watts"),
    "far below zero": (b"-100.5", "out_of_range", "outside -100 to 100 kW"),
    "a number of many digits": (b"9" * 4_000, "out_of_range", "limits.max_kw"),
    "text": (b'"1.2"', "not_a_number", "power must be a number in kW"),
    "true": (b"true", "not_a_number", "power must be a number in kW"),
    "null": (b"null", "not_a_number", "power must be a number in kW"),
    "a list": (b"[1.2]", "not_a_number", "power must be a number in kW"),
    "an object in an object": (b'{"gap_kw": {"value": 1.2}}', "not_a_number", "power must be a number in kW"),
    "no power": (b'{"ts": %s}' % T.encode(), "no_value", 'has no "gap_kw"'),
    "another key": (b'{"power": 1.2}', "no_value", 'has no "gap_kw"'),
    "a clock never set": (b'{"ts": "1970-01-01T00:00:10Z", "gap_kw": 1}', "clock_not_set", "is before 2000"),
    "an uptime for a time": (b'{"ts": 3600, "gap_kw": 1}', "clock_not_set", "is before 2000"),
    "the last second of 1999": (b'{"ts": "1999-12-31T23:59:59Z", "gap_kw": 1}', "clock_not_set", "is before 2000"),
    "a time after 2099": (b'{"ts": "2100-01-01T00:00:00Z", "gap_kw": 1}', "bad_time", "is after 2099"),
    "a time without a zone": (b'{"ts": "2010-11-01T00:02:00", "gap_kw": 1}', "bad_time", "give the offset or Z"),
    "a time that is none": (b'{"ts": "2010-02-30T00:00:00Z", "gap_kw": 1}', "bad_time", "is not a time"),
    "no time": (b'{"ts": null, "gap_kw": 1}', "bad_time", "ts must be RFC 3339"),
    "a time of NaN": (b'{"ts": NaN, "gap_kw": 1}', "not_finite", "NaN and Infinity are not JSON"),
    "10 MB": (b"1" * 10_000_000, "too_large", "the payload has 10000000 bytes"),
    "one byte too many": (b" " * 65_535 + b"12", "too_large", "the payload has 65537 bytes"),
}
DEVICES = {
    "a space": "my meter",
    "a dollar": "$home",
    "65 characters": "x" * 65,
    "300 characters": "x" * 300,
    "no name": "",
    "letters of others": "zähler",
    "a quote": 'home"',
    "a template": "{device}",
    "percent": "%s",
}


def shown(payload: bytes) -> str:
    head = payload[:1_024]
    try:
        return head.decode()
    except UnicodeDecodeError:
        return base64.b64encode(head).decode()


def test_bad_payloads_are_rejected_and_the_stream_continues(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    """Each is sent between the readings of a stream, whose forecasts do not change."""
    gateway = start_gateway(broker, forecast=ALONE)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gapcast/+/rejected")
    minutes = [(FIRST + i, power(i)) for i in range(len(PAYLOADS) + 1)]
    peer.publish("gap/home/reading", reading(*minutes[0]))
    for (payload, _, _), minute in zip(PAYLOADS.values(), minutes[1:], strict=True):
        peer.publish("gap/home/reading", payload)
        peer.publish("gap/home/reading", reading(*minute))

    documents = [message.document for message in peer.wait_for("gap/home/forecast", len(minutes) - 1)]
    rejected = [message.document for message in peer.wait_for(REJECTED, len(PAYLOADS))]
    for (what, (payload, reason, words)), found in zip(PAYLOADS.items(), rejected, strict=True):
        assert list(found) == ["topic", "reason", "detail", "payload"]
        assert (found["topic"], found["reason"]) == ("gap/home/reading", reason), what
        assert words in found["detail"], what
        assert len(found["detail"]) < 250, what
        assert found["payload"] == shown(payload), what
    assert_same([without_issue(document) for document in documents], offline("home", minutes))
    gateway.wait_taken(len(PAYLOADS) + len(minutes))
    assert gateway.service.statistics.readings == {
        "accepted": len(minutes), "duplicate": 0, "late": 0, "rejected": len(PAYLOADS),
    }  # fmt: skip
    assert gateway.service.queries.n_devices == 1
    assert gateway.session.n_connects == 1


def test_bad_device_names_are_rejected(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    gateway = start_gateway(broker)
    peer = connect(broker)
    peer.subscribe("gap/+/forecast")
    peer.subscribe("gapcast/+/rejected")
    for device in DEVICES.values():
        for i in range(2):
            peer.publish(f"gap/{device}/reading", reading(FIRST + i, 1.0))
    rejected = [message.document for message in peer.wait_for(REJECTED, 2 * len(DEVICES))]
    for device, found in zip((d for d in DEVICES.values() for _ in range(2)), rejected, strict=True):
        assert found["topic"] == f"gap/{device}/reading"
        assert found["reason"] == "bad_device"
        assert "use 1 to 64 of A-Z a-z 0-9 _ - ." in found["detail"]
        assert len(found["detail"]) < 250
    for i in range(2):  # the longest name that may be
        peer.publish(f"gap/{'x' * 64}/reading", reading(FIRST + i, 1.0))
    peer.wait_for(f"gap/{'x' * 64}/forecast")
    assert gateway.service.queries.n_devices == 1
    assert len(peer.messages) == 2 * len(DEVICES) + 1


def test_reading_at_the_limits_is_accepted(broker: Broker, start_gateway: StartGateway, connect: Connect) -> None:
    gateway = start_gateway(broker, limits={"min_kw": 0, "max_kw": 10})
    peer = connect(broker)
    peer.subscribe("gapcast/+/rejected")
    for i, gap_kw in enumerate((0, 10, -0.001, 10.001)):
        peer.publish("gap/home/reading", json.dumps({"ts": minute_label(FIRST + i), "gap_kw": gap_kw}))
    assert [m.document["reason"] for m in peer.wait_for(REJECTED, 2)] == ["out_of_range"] * 2
    gateway.wait_taken(4)
    assert gateway.service.statistics.readings["accepted"] == 2


@pytest.mark.parametrize("cut_at", ["é", "✓", "𝛑"])
def test_rejected_text_is_truncated_between_characters(
    broker: Broker, start_gateway: StartGateway, connect: Connect, cut_at: str
) -> None:
    start_gateway(broker)
    peer = connect(broker)
    peer.subscribe("gapcast/+/rejected")
    peer.publish("gap/home/reading", ("x" * 1_023 + cut_at * 3).encode())
    assert peer.wait_for(REJECTED)[0].document["payload"] == "x" * 1_023


def test_flood_of_invalid_messages_is_rate_limited(
    broker: Broker, start_gateway: StartGateway, connect: Connect
) -> None:
    """With the lowest rate one is published at once, and then one every ten seconds: a flood is much shorter."""
    gateway = start_gateway(broker, mqtt={"rejections_per_s": 0.1})
    peer = connect(broker)
    peer.subscribe("gapcast/+/rejected")
    n = 400
    for _ in range(n):
        peer.send("gap/home/reading", "on", qos=0)
    gateway.wait_taken(n)
    assert gateway.service.statistics.readings["rejected"] == n
    n_omitted = gateway.service.statistics.n_rejections_omitted
    assert n / 2 < n_omitted < n
    peer.wait_for(REJECTED, n - n_omitted)
