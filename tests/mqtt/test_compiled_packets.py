"""The compiled library finds the same packets and readings as Python, or leaves them to Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.core.readings.reading import Limits, instant_of
from gapcast.core.time_grid import MINUTE_MS, minute_label
from gapcast.mqtt.packets.compiled_packets import MAX_PACKETS, CompiledPackets
from gapcast.mqtt.packets.frames import MAX_PAYLOAD, Acknowledgement, OtherPacket, Publication, encode_publish
from gapcast.mqtt.packets.splitter import ProtocolError, Splitter
from gapcast.mqtt.payloads import decode
from tests.support.library_choice import build
from tests.support.mqtt_packets import CUTS, STREAMS, pieces

pytestmark = pytest.mark.compiled

Packet = Publication | Acknowledgement | OtherPacket

#: Wider than the range that the library reads without an exponent.
LIMITS = Limits(-1e15, 1e15)
SPACES = st.text(" \t\r\n", max_size=2)
NUMBERS = st.one_of(
    st.floats(-200, 200).map(lambda kw: f"{kw:.4f}"),
    st.floats().map(repr),
    st.integers(-(10**16), 10**16).map(str),
    st.from_regex(r"-?[0-9]{1,9}(\.[0-9]{0,9})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["-0", "0", "-0.0", "00", "01.5", "1.", ".5", "+1", "", "null", "true", '"1"', "NaN"]),
)
LABELS = st.one_of(
    st.datetimes().map(lambda at: f'"{at:%Y-%m-%dT%H:%M:%S}Z"'),
    st.from_regex(r'"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z"', fullmatch=True),
    st.sampled_from(['"2010-11-01T00:29:00+01:00"', '"2010-11-01 00:29:00Z"', '"2010-11-01T00:29:00z"', '"2010"', "0"]),
)
TIMES = st.one_of(LABELS, st.integers(-10, 4_200_000_000_000).map(str), NUMBERS)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Return any payload similar to those that the library reads."""
    members = [("ts", draw(TIMES)), ("gap_kw", draw(NUMBERS))]
    further = [("ts", draw(TIMES)), ("gap_kw", "1"), ("filled", "true"), ("g\\u0061p_kw", "2")]
    members = draw(st.permutations(members + draw(st.lists(st.sampled_from(further), max_size=1))))
    members = members[draw(st.sampled_from([0, 0, 0, 0, 1])) :]
    spaced = (f'{draw(SPACES)}"{name}"{draw(SPACES)}:{draw(SPACES)}{value}{draw(SPACES)}' for name, value in members)
    return f"{draw(SPACES)}{{{','.join(spaced)}}}{draw(SPACES)}{draw(st.sampled_from(['', '', '', 'x', '}']))}".encode()


def compiled(*, mqtt5: bool = False) -> CompiledPackets:
    packets = CompiledPackets.create_if_available(mqtt5=mqtt5)
    assert packets is not None
    return packets


def published(payload: bytes, *, packet_id: int = 0) -> bytes:
    return encode_publish(b"gap/home/reading", payload, packet_id, retain=False, properties=None)


def read(payload: bytes) -> tuple[int, float]:
    """Return minute and power of a payload as decoded by the library."""
    (packet,), _ = compiled().split(published(payload))
    assert isinstance(packet, Publication)
    assert packet.payload == payload
    return packet.minute, packet.gap_kw


def without_readings(packet: Packet) -> Packet:
    return packet._replace(minute=0, gap_kw=0.0) if isinstance(packet, Publication) else packet


def split(splitter: Splitter, stream: bytes, cuts: list[int]) -> tuple[list[Packet], bool]:
    """Return the packets, and whether they ended in a :class:`ProtocolError`."""
    found: list[Packet] = []
    for piece in pieces(stream, cuts):
        splitter.feed(piece)
        try:
            for packet in splitter.packets():
                found.append(without_readings(packet))
        except ProtocolError:
            return found, True
    return found, False


@given(STREAMS, CUTS, st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 255)), max_size=3))
def test_splitter_finds_the_same_with_and_without_the_library(
    stream: tuple[bool, list[bytes]], cuts: list[int], damages: list[tuple[int, int]]
) -> None:
    mqtt5, sent = stream
    content = bytearray(b"".join(sent))
    for at, value in damages if content else ():
        content[at % len(content)] = value
    by_python = build(Splitter, mqtt5=mqtt5, compiled=False)
    assert split(Splitter(mqtt5=mqtt5), bytes(content), cuts) == split(by_python, bytes(content), cuts)


@given(payloads())
def test_reading_equals_the_decoders_or_is_left_to_it(payload: bytes) -> None:
    minute, gap_kw = read(payload)
    if minute:
        reading = decode("home", payload, len(payload), None, LIMITS)
        assert (reading.minute, repr(reading.gap_kw)) == (minute, repr(gap_kw))


@given(st.integers(15_778_080, 68_374_079), st.integers(-(10**8), 10**8), st.integers(0, 6), st.booleans())
def test_plain_reading_is_read_by_the_library(minute: int, steps: int, n_decimals: int, is_label: bool) -> None:
    power = f"{steps / 10**n_decimals:.{n_decimals}f}"
    time = f'"{minute_label(minute)}"' if is_label else f"{60 * minute}"
    payload = f'{{"ts":{time}, "gap_kw": {power}}}'.encode()
    assert read(payload) == ((minute, float(power)) if float(power) or "-" not in power else (0, 0.0))


@pytest.mark.parametrize("label", ["2000-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2096-03-01T00:00:00Z"])
def test_day_of_any_year_equals_the_decoders(label: str) -> None:
    assert read(f'{{"ts":"{label}","gap_kw":1}}'.encode()) == (instant_of(label) // MINUTE_MS, 1.0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"1.5",
        b'{"ts":1288571340}',
        b'{"ts":1288571340,"ts":1288571340}',
        b'{"gap_kw":1,"gap_kw":2}',
        b'{"ts":"2001-02-29T00:00:00Z","gap_kw":1}',
        b'{"ts":"2010-11-01T00:00:60Z","gap_kw":1}',
        b'{"ts":"2100-01-01T00:00:00Z","gap_kw":1}',
        b'{"ts":"2010-11-01T00:00:00","gap_kw":1}',
        b'{"ts":1288571340.5,"gap_kw":1}',
        b'{"ts":946684799,"gap_kw":1}',
        b'{"ts":4102444800,"gap_kw":1}',
        b'{"ts":1288571340,"gap_kw":-0.0}',
        b'{"ts":1288571340,"gap_kw":1e3}',
        b'{"ts":1288571340,"gap_kw":1.234567890123456}',
        b'{"ts":1288571340,"gap_kw":1,"filled":true}',
        b'{"ts":1288571340,"gap_kw":1}\0',
    ],
)
def test_payload_that_is_no_plain_reading_is_left_to_python(payload: bytes) -> None:
    assert read(payload)[0] == 0


def test_burst_of_more_packets_than_one_call_finds_is_found() -> None:
    sent = [published(b'{"ts":%d,"gap_kw":1}' % (60 * (25_000_000 + i)), packet_id=i) for i in range(MAX_PACKETS + 5)]
    found, n_bytes = compiled().split(b"".join(sent))
    assert [one.minute for one in found if isinstance(one, Publication)] == list(
        range(25_000_000, 25_000_000 + len(sent))
    )
    assert n_bytes == sum(map(len, sent))


def test_splitter_reads_a_bytearray_like_bytes() -> None:
    """The WebSockets of paho 2.1 return bytearrays."""
    splitter = Splitter(mqtt5=False)
    found: list[object] = []
    for piece in pieces(published(b'{"ts":1288571340,"gap_kw":1}'), [10]):
        splitter.feed(bytearray(piece))
        found += splitter.packets()
    (packet,) = found
    assert isinstance(packet, Publication)
    assert (type(packet.payload), packet.gap_kw) == (bytes, 1.0)


@pytest.mark.parametrize("compiled", [True, False])
def test_packets_after_one_that_raised_are_returned_with_the_next(compiled: bool) -> None:
    splitter = build(Splitter, mqtt5=False, compiled=compiled)
    splitter.feed(b"\x40\x02\0\1" + b"\x40\x02\0\2" + b"\x40\x02\0\3\x40")
    taken: list[object] = []

    def take_first() -> None:
        for packet in splitter.packets():
            taken.append(packet)
            raise OSError("the log cannot be written")

    with pytest.raises(OSError, match="log"):
        take_first()
    splitter.feed(b"\x02\0\4")
    assert [*taken, *splitter.packets()] == [Acknowledgement(i, 0) for i in range(1, 5)]


@pytest.mark.parametrize("rest", [b"\x30", published(b"1")[:-1], b"\xd0\x00", published(b"x" * (MAX_PAYLOAD + 1))])
def test_what_python_must_split_is_left(rest: bytes) -> None:
    found, n_bytes = compiled().split(b"\x40\x03\x12\x34\x87" + rest)
    assert (found, n_bytes) == ([Acknowledgement(0x1234, 0x87)], 5)
