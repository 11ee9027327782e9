"""Encodes and splits the few MQTT 3.1.1 packets that the load generator needs.

Independent of gapcast's own MQTT code, so that a bug there cannot hide here.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_PUBLISH = 3
_CONNECT, _SUBSCRIBE = 0x10, 0x82
_CLEAN_SESSION = 0x02
_MORE = 0x80
_U16 = struct.Struct("!H")


class Frame(NamedTuple):
    """One packet in a received chunk: its type, its flags and the position of its body."""

    kind: int
    flags: int
    start: int
    end: int


def encode_length(n_bytes: int) -> bytes:
    """Encode a remaining length, seven bits per byte.

    >>> encode_length(127).hex(), encode_length(321).hex()
    ('7f', 'c102')
    """
    out = bytearray()
    while True:
        n_bytes, low = divmod(n_bytes, _MORE)
        out.append(low | _MORE if n_bytes else low)
        if not n_bytes:
            return bytes(out)


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + encode_length(len(body)) + body


def _text(text: bytes) -> bytes:
    return _U16.pack(len(text)) + text


def connect(client_id: bytes) -> bytes:
    """Return a CONNECT with a clean session and no keep-alive.

    >>> connect(b"a").hex()
    '100d00044d51545404020000000161'
    """
    return _packet(_CONNECT, _text(b"MQTT") + bytes((4, _CLEAN_SESSION, 0, 0)) + _text(client_id))


def subscribe(topic_filter: bytes, qos: int) -> bytes:
    """Return a SUBSCRIBE to one filter, with packet identifier 1."""
    return _packet(_SUBSCRIBE, _U16.pack(1) + _text(topic_filter) + bytes((qos,)))


def publish(topic: bytes, payload: bytes, packet_id: int = 0) -> bytes:
    """Return a PUBLISH: QoS 1 with a ``packet_id``, QoS 0 if the id is 0.

    >>> publish(b"a/b", b"1.5").hex(), publish(b"a/b", b"1.5", 7).hex()
    ('30080003612f62312e35', '320a0003612f620007312e35')
    """
    flags = 0x02 if packet_id else 0
    return _packet(_PUBLISH << 4 | flags, _text(topic) + (_U16.pack(packet_id) if packet_id else b"") + payload)


def split(chunk: bytes) -> tuple[list[Frame], int]:
    """Return the complete packets at the start of ``chunk`` and their total length in bytes.

    >>> split(publish(b"a", b"1") + publish(b"a", b"2")[:4])
    ([Frame(kind=3, flags=0, start=2, end=6)], 6)
    """
    frames: list[Frame] = []
    begin, n_bytes = 0, len(chunk)
    while True:
        at, length, shift = begin + 1, 0, 0
        while at < n_bytes and chunk[at] >= _MORE:
            length |= (chunk[at] & 0x7F) << shift
            shift += 7
            at += 1
        if at >= n_bytes:
            return frames, begin
        start = at + 1
        end = start + (length | chunk[at] << shift)
        if end > n_bytes:
            return frames, begin
        frames.append(Frame(chunk[begin] >> 4, chunk[begin] & 0x0F, start, end))
        begin = end


def topic_and_payload(chunk: bytes, frame: Frame) -> tuple[bytes, bytes]:
    """Return topic and payload of a PUBLISH.

    >>> chunk = publish(b"a/b", b"1.5", 7)
    >>> topic_and_payload(chunk, split(chunk)[0][0])
    (b'a/b', b'1.5')
    """
    topic_end = frame.start + 2 + _U16.unpack_from(chunk, frame.start)[0]
    payload_start = topic_end + (2 if frame.flags & 0x06 else 0)
    return chunk[frame.start + 2 : topic_end], chunk[payload_start : frame.end]
