"""The hot path's frames: read as paho reads them, in whatever pieces they come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import paho.mqtt._packet as paho_packet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.mqtt.frames import (
    MAX_PAYLOAD,
    Acknowledgement,
    Other,
    ProtocolError,
    Publication,
    Splitter,
    as_duplicate,
    encode_expiry,
    encode_length,
    encode_puback,
    encode_publish,
)

TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=80)
PACKET_IDS = st.integers(0, 65_535)


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut ``stream`` at the given places."""
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return (stream[start:end] for start, end in itertools.pairwise(places))


def split(stream: bytes, cuts: list[int] | None = None, *, mqtt5: bool = False) -> list[object]:
    splitter, packets = Splitter(mqtt5=mqtt5), []
    for piece in pieces(stream, cuts or []):
        splitter.feed(piece)
        packets += splitter.packets()
    return packets


def body(packet: bytes) -> bytes:
    """Return what follows the fixed header."""
    end = 1
    while packet[end] & 0x80:
        end += 1
    return packet[end + 1 :]


@given(TOPICS, st.binary(max_size=400), PACKET_IDS, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1) | st.none())
def test_a_publish_is_read_as_paho_reads_it(
    topic: str, payload: bytes, packet_id: int, retain: bool, mqtt5: bool, expiry_s: int | None
) -> None:
    properties = encode_expiry(expiry_s) if mqtt5 else None
    packet = encode_publish(topic.encode(), payload, packet_id, retain=retain, properties=properties)
    protocol = MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311
    paho = paho_packet.decode_publish(packet[0], body(packet), protocol)
    (ours,) = split(packet, mqtt5=mqtt5)
    assert isinstance(ours, Publication)
    assert (paho.topic, paho.payload, paho.mid, paho.retain, paho.dup) == (
        ours.topic.encode(), ours.payload, ours.packet_id, ours.retained, ours.redelivered,
    )  # fmt: skip
    assert (paho.topic, paho.payload, paho.mid, paho.qos) == (topic.encode(), payload, packet_id, int(packet_id > 0))
    if mqtt5:
        assert getattr(paho.properties, "MessageExpiryInterval", None) == expiry_s


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), max_size=8), st.binary(max_size=50))
def test_properties_of_any_length_are_passed_over(pairs: list[tuple[str, str]], payload: bytes) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    for pair in pairs:
        properties.UserProperty = pair
    packet = encode_publish(b"gap/home/reading", payload, 7, retain=False, properties=properties.pack())
    (ours,) = split(packet, mqtt5=True)
    assert isinstance(ours, Publication)
    assert ours.payload == payload
    assert ours.properties == properties.pack()[-len(ours.properties) :] if ours.properties else not pairs


PACKETS = st.lists(
    st.one_of(
        st.builds(
            lambda topic, load, number: encode_publish(topic.encode(), load, number, retain=False, properties=None),
            TOPICS, st.binary(max_size=300), PACKET_IDS,
        ),
        st.builds(encode_puback, PACKET_IDS),
        st.sampled_from([b"\xd0\x00", b"\x90\x03\x00\x01\x01", b"\x20\x02\x00\x00"]),
    ),
    max_size=12,
)  # fmt: skip


@given(PACKETS, st.lists(st.integers(0, 5_000), max_size=30))
def test_the_pieces_in_which_a_stream_comes_do_not_matter(packets: list[bytes], cuts: list[int]) -> None:
    whole = split(b"".join(packets))
    assert len(whole) == len(packets)
    assert split(b"".join(packets), cuts) == whole


@given(PACKET_IDS, st.integers(0, 255) | st.none())
def test_a_puback_is_read_as_paho_reads_it(packet_id: int, reason: int | None) -> None:
    packet = (
        encode_puback(packet_id) if reason is None else b"\x40\x03" + packet_id.to_bytes(2, "big") + bytes([reason])
    )
    assert split(packet, mqtt5=True) == [Acknowledgement(packet_id, reason or 0)]
    if not reason:
        assert paho_packet.decode_puback(packet[0], body(packet), MQTTProtocolVersion.MQTTv5).mid == packet_id


def test_all_other_packets_pass_whole() -> None:
    suback = b"\x90\x03\x00\x01\x01"
    assert split(suback + b"\xd0\x00") == [Other(suback), Other(b"\xd0\x00")]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10), st.booleans())
def test_no_bytes_do_anything_but_give_packets_or_a_protocol_error(stream: bytes, cuts: list[int], mqtt5: bool) -> None:
    try:
        packets = split(stream, cuts, mqtt5=mqtt5)
    except ProtocolError:
        return
    assert all(isinstance(packet, Publication | Acknowledgement | Other) for packet in packets)


@pytest.mark.parametrize(
    "stream", [b"\x30\xff\xff\xff\xff\x01", b"\x30\x02\x00\x05", b"\x40\x00", b"\x32\x03\x00\x01a"]
)
def test_bytes_that_are_not_mqtt_are_an_error(stream: bytes) -> None:
    with pytest.raises(ProtocolError, match="malformed"):
        split(stream + b"\0" * 10)


@pytest.mark.parametrize("mqtt5", [False, True])
def test_a_giant_payload_is_passed_over_without_being_kept(mqtt5: bool) -> None:
    n_bytes = 10_000_000
    properties = b"\x00" if mqtt5 else None
    giant = encode_publish(b"gap/home/reading", b"x" * n_bytes, 9, retain=False, properties=properties)
    after = encode_publish(b"gap/home/reading", b"1.5", 10, retain=False, properties=properties)
    splitter, packets, most_kept = Splitter(mqtt5=mqtt5), [], 0
    for piece in pieces(giant + after, list(range(0, len(giant), 100_000))):
        splitter.feed(piece)
        packets += splitter.packets()
        most_kept = max(most_kept, len(splitter))
    assert [(packet.packet_id, packet.n_bytes, len(packet.payload)) for packet in packets] == [
        (9, n_bytes, MAX_PAYLOAD),
        (10, 3, 3),
    ]
    assert most_kept < 4 * MAX_PAYLOAD


def test_a_giant_payload_in_one_piece_is_cut_too() -> None:
    (packet,) = split(encode_publish(b"t", b"x" * 300_000, 1, retain=False, properties=None))
    assert isinstance(packet, Publication)
    assert (packet.n_bytes, len(packet.payload)) == (300_000, MAX_PAYLOAD)


def test_properties_that_fill_the_buffer_are_waited_for() -> None:
    pairs = Properties(PacketTypes.PUBLISH)
    for _ in range(4):
        pairs.UserProperty = ("k", "v" * 60_000)
    packet = encode_publish(b"t", b"x" * 300_000, 1, retain=False, properties=pairs.pack())
    (found,) = split(packet, list(range(0, len(packet), 50_000)), mqtt5=True)
    assert isinstance(found, Publication)
    assert (found.topic, found.n_bytes) == ("t", 300_000)


def test_a_topic_that_is_not_utf8_does_not_end_the_connection() -> None:
    (packet,) = split(encode_publish(b"gap/\xff/reading", b"1", 0, retain=False, properties=None))
    assert isinstance(packet, Publication)
    assert packet.topic == "gap/\ufffd/reading"


@given(PACKET_IDS, st.binary(max_size=20))
def test_a_message_sent_again_says_so(packet_id: int, payload: bytes) -> None:
    packet = encode_publish(b"t", payload, packet_id, retain=False, properties=None)
    (again,) = split(as_duplicate(packet))
    assert isinstance(again, Publication)
    assert again == split(packet)[0]._replace(redelivered=True)  # type: ignore[attr-defined]


@given(st.integers(0, 268_435_455))
def test_a_length_is_written_in_the_fewest_bytes(n_bytes: int) -> None:
    encoded = encode_length(n_bytes)
    assert sum((byte & 0x7F) << 7 * i for i, byte in enumerate(encoded)) == n_bytes
    assert len(encoded) == max(1, -(-n_bytes.bit_length() // 7))
