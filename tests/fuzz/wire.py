"""Bytes of a connection: MQTT frames, the properties of a PUBLISH, and JSON itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from gapcast.core.readings.reading import Limits
from gapcast.mqtt.packets.frames import (
    MAX_PAYLOAD,
    Acknowledgement,
    OtherPacket,
    Publication,
    encode_pubacks,
    encode_publish,
)
from gapcast.mqtt.packets.properties import (
    MAX_FORWARDED_BYTES,
    content_type,
    forwarded_properties,
    properties_in,
    response_topic_in,
)
from gapcast.mqtt.packets.splitter import ProtocolError, Splitter
from gapcast.mqtt.payloads import decode
from gapcast.text.json_input import JsonError, decode_json
from tests.fuzz.target import Target

Packet = Publication | Acknowledgement | OtherPacket
#: JSON values are walked to this depth; the decoder rejects nesting deeper than 200.
_DEEPEST = 256


def _split(data: bytes, n_at_a_time: int, *, mqtt5: bool) -> tuple[list[Packet], bool]:
    """Return the packets of a byte stream that arrives in pieces, and whether it was rejected as not MQTT."""
    splitter, packets = Splitter(mqtt5=mqtt5), []
    for at in range(0, len(data), n_at_a_time):
        splitter.feed(data[at : at + n_at_a_time])
        try:
            for packet in splitter.packets():
                packets.append(_without_reading(packet))
        except ProtocolError:
            return packets, True
    return packets, False


def _without_reading(packet: Packet) -> Packet:
    """Return ``packet`` without the reading that the compiled library decoded from its payload."""
    if not isinstance(packet, Publication) or not packet.minute:
        return packet
    reading = decode("home", packet.payload, packet.n_bytes, None, Limits(-math.inf, math.inf))
    assert (reading.minute, reading.gap_kw) == (packet.minute, packet.gap_kw)
    return packet._replace(minute=0, gap_kw=0.0)


def check_frames(data: bytes) -> None:
    """Split ``data``, as MQTT 5 or 3.1.1 by its first byte, whole and in pieces: the packets are the same."""
    if len(data) < 2:
        return
    mqtt5, n_at_a_time = bool(data[0] & 1), (data[0] >> 1) + 1
    stream = data[1:]
    whole, refused = _split(stream, len(stream), mqtt5=mqtt5)
    in_pieces, refused_in_pieces = _split(stream, n_at_a_time, mqtt5=mqtt5)
    assert (in_pieces, refused_in_pieces) == (whole, refused)
    for packet in whole:
        if isinstance(packet, Publication):
            assert len(packet.payload) == min(packet.n_bytes, MAX_PAYLOAD)
            check_properties(packet.properties)


def frames_seeds() -> list[bytes]:
    """Return streams of PUBLISH, PUBACK and other packets, for both versions of MQTT."""
    extra = content_type("a/b") + bytes.fromhex("080003612f6209000201022600016b0001760b7f0101")
    properties = bytes((len(extra),)) + extra
    topic, payload = b"gap/home/reading", b'{"ts": "2010-11-01T00:29:00Z", "gap_kw": 1.5}'
    five = encode_publish(topic, payload, 7, retain=False, properties=properties) + encode_pubacks([3])
    three = encode_publish(topic, payload, 0, retain=True, properties=None) + bytes.fromhex("d0004003000310")
    giant = encode_publish(topic, b"0" * 200_000, 9, retain=False, properties=b"\x00")
    return [b"\x03" + five * 2, b"\x02" + three, b"\x08" + three * 3, b"\xff" + giant[:140_000]]


def check_properties(data: bytes) -> None:
    """Read ``data`` as the properties of a PUBLISH: a prefix of them is read, and what is forwarded is bounded."""
    found = list(properties_in(data))
    assert data.startswith(b"".join(one.raw for one in found))
    kept = forwarded_properties(data)
    assert len(kept) <= MAX_FORWARDED_BYTES
    assert forwarded_properties(kept) == kept
    topic = response_topic_in(data)
    assert topic is None or topic.encode() in data


def properties_seeds() -> list[bytes]:
    """Return properties of each kind."""
    parts = [
        content_type("application/json"), b"\x08\x00\x03a/b", b"\x09\x00\x02\x01\x02", b"\x26\x00\x01k\x00\x01v",
        b"\x02\x00\x00\x01\x2c", b"\x0b\x80\x01", b"\x01\x01", b"\x23\x00\x05",
    ]  # fmt: skip
    return [*parts, b"".join(parts)]


def check_json(data: bytes) -> None:
    """Decode ``data`` as JSON: accepted values contain no NaN and no lone surrogate, and Python's decoder agrees."""
    with suppress(JsonError):
        value = decode_json(data)
        for inner in _values_in([value]):
            assert not (isinstance(inner, float) and math.isnan(inner))
            if isinstance(inner, str):
                inner.encode()
        reference = json.loads(data, parse_int=_parse_int, parse_constant=_refuse)
        assert _same(value, reference), (value, reference)


def _parse_int(digits: str) -> int:
    return int(digits)


def _refuse(name: str) -> float:
    msg = f"{name} is not JSON, and was accepted"
    raise AssertionError(msg)


def _values_in(values: Iterable[Any], depth: int = 0) -> Iterable[Any]:
    assert depth < _DEEPEST
    for value in values:
        yield value
        if isinstance(value, dict):
            yield from _values_in([*value, *value.values()], depth + 1)
        elif isinstance(value, list):
            yield from _values_in(value, depth + 1)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(inner, other[name]) for name, inner in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def json_seeds() -> list[bytes]:
    """Return documents with every kind of value."""
    documents = [{"a": [1, -2.5e3, True, None, "é\n"], "b": {"": {}}}, [[[]]], "text", 12, 1e308, "\U0001f600"]
    return [json.dumps(document).encode() for document in documents] + [
        b' {"a":1,"a":2} ',
        b"-0.0",
        b'"\\ud83d\\ude00"',
    ]


TARGETS = (
    Target("frames", check_frames, frames_seeds, max_bytes=140_000),
    Target("properties", check_properties, properties_seeds, max_bytes=1_024),
    Target("json", check_json, json_seeds, ("NaN", "Infinity", "\\ud800", "1e999", "null", "[[[[", "0" * 100)),
)
