"""Packets as a broker sends them, made without the code under test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

MAX_LENGTH = 268_435_455


def framed(head: int, body: bytes) -> bytes:
    return bytes([head]) + bytes(VariableByteIntegers.encode(len(body))) + body


def publish(
    topic: bytes, payload: bytes, packet_id: int = 0, properties: bytes = b"", *, qos: int = 1, flags: int = 0
) -> bytes:
    middle = packet_id.to_bytes(2, "big") if qos else b""
    return framed(0x30 | qos << 1 | flags, len(topic).to_bytes(2, "big") + topic + middle + properties + payload)


@st.composite
def packed_properties(draw: st.DrawFn) -> bytes:
    """Properties that a PUBLISH may have: from none to more than a length of one byte allows."""
    # Of U+FEFF MQTT says that it is a character like any other (1.5.4-3), and paho that it is an error.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=60)
    may_have = {
        "PayloadFormatIndicator": st.integers(0, 1),
        "MessageExpiryInterval": st.integers(0, 2**32 - 1),
        "ContentType": text,
        "ResponseTopic": text,
        "CorrelationData": st.binary(max_size=60),
        "TopicAlias": st.integers(1, 65_535),
        "SubscriptionIdentifier": st.integers(1, MAX_LENGTH),
    }
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in draw(st.fixed_dictionaries({}, optional=may_have)).items():
        setattr(properties, name, value)
    for pair in draw(st.lists(st.tuples(text, text), max_size=6)):
        properties.UserProperty = pair
    return bytes(properties.pack())


TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=80)
PACKET_IDS = st.integers(1, 65_535)
CUTS = st.lists(st.integers(0, 5_000), max_size=30)


@st.composite
def packets(draw: st.DrawFn, *, mqtt5: bool) -> bytes:
    """Any packet that a broker may send to a client."""
    kind = draw(st.sampled_from(["publish", "publish", "puback", "other"]))
    if kind == "publish":
        qos = draw(st.integers(0, 2))
        flags = draw(st.sampled_from([0, 1])) | (draw(st.sampled_from([0, 8])) if qos else 0)
        return publish(
            draw(TOPICS).encode(), draw(st.binary(max_size=300)), draw(PACKET_IDS),
            draw(packed_properties()) if mqtt5 else b"", qos=qos, flags=flags,
        )  # fmt: skip
    packet_id = draw(PACKET_IDS).to_bytes(2, "big")
    if kind == "puback":
        tails = [b"", b"\x00", b"\x10", b"\x87", b"\x87\x00", b"\x99\x04\x1f\x00\x01x"] if mqtt5 else [b""]
        return framed(0x40, packet_id + draw(st.sampled_from(tails)))
    return framed(
        draw(st.sampled_from([0x20, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0])), draw(st.binary(max_size=200))
    )


STREAMS = st.booleans().flatmap(
    lambda mqtt5: st.tuples(st.just(mqtt5), st.lists(packets(mqtt5=mqtt5), max_size=12))
)  # fmt: skip


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut ``stream`` at the given places."""
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return (stream[start:end] for start, end in itertools.pairwise(places))
