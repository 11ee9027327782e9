"""The two packets of the hot path, PUBLISH and PUBACK (MQTT 3.1.1 and 5.0, sections 3.3, 3.4), and their encoding.

paho handles all other packets. These two are handled here because there are ten thousand of them a second: paho builds
a dozen objects for each and scans its in-flight table on every PUBACK. :mod:`gapcast.mqtt.packets.splitter` decodes
them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

PUBLISH, PUBACK = 0x30, 0x40
#: Flags of a PUBLISH: retained, QoS 1, sent again.
RETAIN, AT_LEAST_ONCE, DUP = 0x01, 0x02, 0x08
#: First byte of a PUBACK, its remaining length, and room for the packet identifier.
_PUBACK_HEAD = PUBACK << 24 | 2 << 16
_U16 = struct.Struct("!H")
_MESSAGE_EXPIRY = struct.Struct("!BBI")
#: Reason codes from here on are refusals (MQTT 5.0, 2.4).
REFUSED_FROM = 0x80
#: Length of the longest packet that MQTT permits, bytes: its remaining length has four bytes.
LONGEST_PACKET = 268_435_460
#: Longer payloads are truncated to this length, bytes, so that a giant message takes no memory.
MAX_PAYLOAD = 65_536


class Publication(NamedTuple):
    """A received PUBLISH. ``packet_id`` is 0 at QoS 0; ``properties`` are undecoded (MQTT 5).

    ``n_bytes`` is the payload's length as sent; ``payload`` is truncated to MAX_PAYLOAD. ``minute`` and ``gap_kw`` are
    set if the compiled library has decoded it as an object with only ``ts`` and ``gap_kw``, else 0.
    """

    topic: str
    payload: bytes
    packet_id: int
    redelivered: bool
    retained: bool
    properties: bytes
    n_bytes: int
    minute: int = 0
    gap_kw: float = 0.0


class Acknowledgement(NamedTuple):
    """A received PUBACK: the broker has taken responsibility, or (``reason`` >= 0x80) refused."""

    packet_id: int
    reason: int


class OtherPacket(NamedTuple):
    """Any other packet, complete and undecoded."""

    raw: bytes


def encode_length(n_bytes: int) -> bytes:
    """Return a remaining length as the variable byte integer of section 2.1.4 (5.0) / 2.2.3 (3.1.1).

    >>> encode_length(127).hex(), encode_length(321).hex()
    ('7f', 'c102')
    """
    if n_bytes < 0x80:  # noqa: PLR2004 - one byte of seven bits
        return bytes((n_bytes,))
    out = bytearray()
    while True:
        n_bytes, low = divmod(n_bytes, 0x80)
        out.append(low | 0x80 if n_bytes else low)
        if not n_bytes:
            return bytes(out)


def encode_publish(topic: bytes, payload: bytes, packet_id: int, *, retain: bool, properties: bytes | None) -> bytes:
    """Return a PUBLISH: QoS 1 with a ``packet_id``, QoS 0 if the id is 0.

    ``properties`` are encoded, with their length in front, for MQTT 5; None for 3.1.1.
    """
    head = PUBLISH | (retain and RETAIN) | (AT_LEAST_ONCE if packet_id else 0)
    variable = _U16.pack(len(topic)) + topic + (_U16.pack(packet_id) if packet_id else b"") + (properties or b"")
    return b"%c%b%b%b" % (head, encode_length(len(variable) + len(payload)), variable, payload)


def as_duplicate(publish: bytes) -> bytes:
    """Return a PUBLISH with its DUP flag set, as a retransmission requires."""
    return bytes((publish[0] | DUP,)) + publish[1:]


def encode_pubacks(packet_ids: Sequence[int]) -> bytes:
    """Return a PUBACK with reason Success for each of ``packet_ids``.

    >>> encode_pubacks([1, 0x8000]).hex(" ", 4)
    '40020001 40028000'
    """
    return struct.pack(f"!{len(packet_ids)}I", *[_PUBACK_HEAD | packet_id for packet_id in packet_ids])


def encode_properties(expiry_s: int | None, extra: bytes = b"") -> bytes:
    """Return the properties of an MQTT 5 PUBLISH that expires after ``expiry_s`` seconds, or never.

    ``extra`` are other properties, encoded.

    >>> encode_properties(300).hex(), encode_properties(None).hex(), encode_properties(None, b"x").hex()
    ('05020000012c', '00', '0178')
    """
    if extra:
        expiry = b"" if expiry_s is None else _MESSAGE_EXPIRY.pack(5, 2, expiry_s)[1:]
        return encode_length(len(expiry) + len(extra)) + expiry + extra
    return b"\x00" if expiry_s is None else _MESSAGE_EXPIRY.pack(5, 2, expiry_s)
