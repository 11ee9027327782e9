"""Frames of the fast path decode like paho's, in pieces of any size."""

from __future__ import annotations

from typing import Any

import paho.mqtt._packet as paho_packet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from gapcast.mqtt.packets.frames import (
    MAX_PAYLOAD,
    Acknowledgement,
    OtherPacket,
    Publication,
    as_duplicate,
    encode_length,
    encode_properties,
    encode_pubacks,
    encode_publish,
)
from gapcast.mqtt.packets.splitter import ProtocolError, Splitter
from tests.support.mqtt_packets import (
    CUTS,
    MAX_LENGTH,
    PACKET_IDS,
    STREAMS,
    TOPICS,
    framed,
    packed_properties,
    pieces,
    publish,
)

Packet = Publication | Acknowledgement | OtherPacket


def split(stream: bytes, cuts: list[int] | None = None, *, mqtt5: bool = False) -> list[Packet]:
    splitter = Splitter(mqtt5=mqtt5)
    found: list[Packet] = []
    for piece in pieces(stream, cuts or []):
        splitter.feed(piece)
        found += splitter.packets()
    return found


def split_or_error(stream: bytes, cuts: list[int], *, mqtt5: bool) -> tuple[list[Packet], bool]:
    """Return the packets, and whether the stream ended in a :class:`ProtocolError`."""
    splitter = Splitter(mqtt5=mqtt5)
    found: list[Packet] = []
    for piece in pieces(stream, cuts):
        splitter.feed(piece)
        try:
            for packet in splitter.packets():
                found.append(packet)  # those before an error count too
        except ProtocolError:
            return found, True
    return found, False


def version(*, mqtt5: bool) -> MQTTProtocolVersion:
    return MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311


def read_by_paho(packet: bytes, *, mqtt5: bool) -> Packet:
    """Return a packet as paho's own decoders read it, converted to gapcast's types."""
    length, n_length = VariableByteIntegers.decode(packet[1:])
    body = packet[1 + n_length :]
    assert len(body) == length
    if packet[0] & 0xF0 == 0x30:
        found = paho_packet.decode_publish(packet[0], body, version(mqtt5=mqtt5))
        properties = b"" if found.properties is None else bytes(found.properties.pack())
        topic, payload = found.topic.decode("utf-8", "replace"), bytes(found.payload)
        return Publication(topic, payload, found.mid, found.dup, found.retain, properties, len(payload))
    if packet[0] & 0xF0 == 0x40:
        acknowledged = paho_packet.decode_puback(packet[0], body, version(mqtt5=mqtt5))
        return Acknowledgement(acknowledged.mid, acknowledged.reason.value)
    return OtherPacket(packet)


def repacked(packet: Packet, *, mqtt5: bool) -> Packet:
    """Return ``packet`` with its properties as paho would write them."""
    if not isinstance(packet, Publication) or not mqtt5:
        return packet
    properties = Properties(PacketTypes.PUBLISH)
    properties.unpack(VariableByteIntegers.encode(len(packet.properties)) + packet.properties)
    return packet._replace(properties=bytes(properties.pack()))


@given(STREAMS, CUTS)
def test_splitter_any_pieces_match_paho(stream: tuple[bool, list[bytes]], cuts: list[int]) -> None:
    mqtt5, sent = stream
    found = split(b"".join(sent), cuts, mqtt5=mqtt5)
    assert [repacked(packet, mqtt5=mqtt5) for packet in found] == [read_by_paho(packet, mqtt5=mqtt5) for packet in sent]


@given(st.sampled_from([0x30, 0x32, 0x3B, 0x3D, 0x40]), st.binary(max_size=60), st.booleans())
def test_splitter_any_body_matches_paho(head: int, body: bytes, mqtt5: bool) -> None:
    packet = framed(head, body)
    try:
        expected = read_by_paho(packet, mqtt5=mqtt5)
    except MQTTException:
        return
    (found,) = split(packet, mqtt5=mqtt5)
    assert repacked(found, mqtt5=mqtt5) == expected


@given(packed_properties(), st.binary(max_size=50))
def test_splitter_keeps_raw_properties(properties: bytes, payload: bytes) -> None:
    (found,) = split(publish(b"gap/home/reading", payload, 7, properties), mqtt5=True)
    assert isinstance(found, Publication)
    assert properties == encode_length(len(found.properties)) + found.properties
    assert found.payload == payload


def test_splitter_topic_not_utf_8_is_no_error() -> None:
    (found,) = split(publish(b"gap/\xff/reading", b"1"))
    assert isinstance(found, Publication)
    assert found.topic == "gap/\ufffd/reading"


def test_splitter_length_counts_buffered_bytes() -> None:
    splitter = Splitter(mqtt5=False)
    splitter.feed(b"\xd0\x00\xd0")
    assert list(splitter.packets()) == [OtherPacket(b"\xd0\x00")]
    assert len(splitter) == 1


# --- bytes that are not MQTT ------------------------------------------------------------------------


@given(st.binary(max_size=300), CUTS, st.booleans())
def test_splitter_any_bytes_give_packets_or_a_protocol_error(stream: bytes, cuts: list[int], mqtt5: bool) -> None:
    whole = split_or_error(stream, [], mqtt5=mqtt5)
    assert split_or_error(stream, cuts, mqtt5=mqtt5) == whole
    assert all(isinstance(packet, Packet) for packet in whole[0])


@given(STREAMS, CUTS, st.data())
def test_splitter_damaged_stream_gives_packets_or_an_error(
    stream: tuple[bool, list[bytes]], cuts: list[int], data: st.DataObject
) -> None:
    mqtt5, sent = stream
    damaged = bytearray(b"".join(sent) or b"\x30")
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    whole = split_or_error(bytes(damaged), [], mqtt5=mqtt5)
    assert split_or_error(bytes(damaged), cuts, mqtt5=mqtt5) == whole


@pytest.mark.parametrize(
    ("stream", "mqtt5"),
    [
        pytest.param(b"\x30\xff\xff\xff\xff\x01", False, id="a length of five bytes"),
        pytest.param(b"\x30\x00", False, id="no topic"),
        pytest.param(b"\x30\x02\x00\x05", False, id="a topic beyond the end"),
        pytest.param(b"\x32\x03\x00\x01a", False, id="no packet identifier"),
        pytest.param(b"\x30\x03\x00\x01a", True, id="no length of properties"),
        pytest.param(b"\x30\x05\x00\x01a\x05\x01", True, id="properties beyond the end"),
        pytest.param(b"\x30\x09\x00\x01a\x80\x80\x80\x80\x01x", True, id="a length of properties of five bytes"),
        pytest.param(b"\x40\x00", False, id="an acknowledgement of nothing"),
        pytest.param(b"\x40\x01\x07", False, id="an acknowledgement of half an identifier"),
    ],
)
def test_splitter_malformed_packet_is_an_error(stream: bytes, mqtt5: bool) -> None:
    splitter = Splitter(mqtt5=mqtt5)
    splitter.feed(b"\xd0\x00" + stream + b"\0" * 10)
    found = splitter.packets()
    assert next(found) == OtherPacket(b"\xd0\x00")
    with pytest.raises(ProtocolError, match="malformed packet"):
        next(found)


# --- giants -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mqtt5", [False, True])
@pytest.mark.parametrize("n_bytes_a_piece", [1_460, 100_000, 262_144])
def test_splitter_huge_payload_is_skipped_unbuffered(mqtt5: bool, n_bytes_a_piece: int) -> None:
    n_bytes, properties = 10_000_000, b"\x00" if mqtt5 else b""
    giant = publish(b"gap/home/reading", b"12" * (n_bytes // 2), 9, properties)
    stream = giant + publish(b"gap/home/reading", b"1.5", 10, properties)
    splitter, most_kept = Splitter(mqtt5=mqtt5), 0
    found: list[Any] = []
    for piece in pieces(stream, list(range(0, len(stream), n_bytes_a_piece))):
        splitter.feed(piece)
        found += splitter.packets()
        most_kept = max(most_kept, len(splitter))
    assert [(one.packet_id, one.payload, one.n_bytes) for one in found] == [
        (9, b"12" * (MAX_PAYLOAD // 2), n_bytes),
        (10, b"1.5", 3),
    ]
    assert most_kept <= 2 * MAX_PAYLOAD + 1_460


def test_splitter_huge_payload_in_one_piece_is_truncated() -> None:
    (found,) = split(publish(b"t", b"x" * 300_000, 1))
    assert isinstance(found, Publication)
    assert (found.n_bytes, found.payload) == (300_000, b"x" * MAX_PAYLOAD)


@pytest.mark.parametrize("n_bytes", [1, 1_000, MAX_PAYLOAD, MAX_PAYLOAD + 1, 300_000])
def test_splitter_payload_after_a_huge_header_is_whole(n_bytes: int) -> None:
    pairs = Properties(PacketTypes.PUBLISH)
    for _ in range(4):
        pairs.UserProperty = ("k", "v" * 60_000)
    payload = b"12345"[: n_bytes % 5] + b"67890" * (n_bytes // 5)
    packet = publish(b"t" * 65_535, payload, 1, bytes(pairs.pack()))
    for n_bytes_a_piece in (999, 50_000):
        (found,) = split(packet, list(range(0, len(packet), n_bytes_a_piece)), mqtt5=True)
        assert isinstance(found, Publication)
        assert (len(found.topic), found.n_bytes, found.payload) == (65_535, n_bytes, payload[:MAX_PAYLOAD])


# --- writing them -----------------------------------------------------------------------------------


@given(TOPICS, st.binary(max_size=400), st.integers(0, 65_535), st.booleans(), st.booleans(), st.data())
def test_encode_publish_is_read_by_paho(
    topic: str, payload: bytes, packet_id: int, retain: bool, mqtt5: bool, data: st.DataObject
) -> None:
    expiry_s = data.draw(st.none() | st.integers(0, 2**32 - 1)) if mqtt5 else None
    properties = encode_properties(expiry_s) if mqtt5 else None
    packet = encode_publish(topic.encode(), payload, packet_id, retain=retain, properties=properties)
    body = packet[1 + VariableByteIntegers.decode(packet[1:])[1] :]
    found = paho_packet.decode_publish(packet[0], body, version(mqtt5=mqtt5))
    assert (found.topic, found.payload, found.mid, found.qos) == (topic.encode(), payload, packet_id, bool(packet_id))
    assert (found.retain, found.dup) == (retain, False)
    if mqtt5:
        assert getattr(found.properties, "MessageExpiryInterval", None) == expiry_s


@given(PACKET_IDS, st.binary(max_size=300), st.booleans())
def test_encode_publish_redelivery_sets_only_the_flag(packet_id: int, payload: bytes, retain: bool) -> None:
    packet = encode_publish(b"t", payload, packet_id, retain=retain, properties=None)
    (found,), (again,) = split(packet), split(as_duplicate(packet))
    assert isinstance(found, Publication)
    assert not found.redelivered
    assert again == found._replace(redelivered=True)


@given(PACKET_IDS, st.booleans())
def test_encode_puback_is_read_by_paho(packet_id: int, mqtt5: bool) -> None:
    assert read_by_paho(encode_pubacks([packet_id]), mqtt5=mqtt5) == Acknowledgement(packet_id, 0)


@given(st.integers(0, MAX_LENGTH))
def test_encode_length_matches_paho(n_bytes: int) -> None:
    assert encode_length(n_bytes) == VariableByteIntegers.encode(n_bytes)


@pytest.mark.parametrize("n_bytes", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, MAX_LENGTH])
def test_encode_length_at_each_step_matches_paho(n_bytes: int) -> None:
    assert encode_length(n_bytes) == VariableByteIntegers.encode(n_bytes)
