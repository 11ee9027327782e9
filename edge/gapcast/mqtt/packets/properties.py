"""The properties of a PUBLISH (MQTT 5.0, 2.2.2 and 3.3.2.3) that are read, forwarded or set."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, USER_PROPERTY = 0x03, 0x08, 0x09, 0x26
_SUBSCRIPTION_ID = 0x0B
#: Bytes after the identifier of a fixed-length property; for other properties, the number of strings.
_FIXED = {0x01: 1, 0x02: 4, 0x23: 2}
_STRINGS = {CONTENT_TYPE: 1, RESPONSE_TOPIC: 1, CORRELATION_DATA: 1, USER_PROPERTY: 2}
_FORWARDED = {CORRELATION_DATA, USER_PROPERTY}
#: Longer properties are not forwarded: they would be sent with every forecast and held until its confirmation.
MAX_FORWARDED_BYTES = 4_096
_U16 = struct.Struct("!H")


class Property(NamedTuple):
    """One property: its identifier, and its encoding, which begins with the identifier."""

    identifier: int
    raw: bytes

    @property
    def content(self) -> bytes:
        """The content of the property's first string."""
        return self.raw[3 : 3 + _U16.unpack_from(self.raw, 1)[0]]


def properties_in(encoded: bytes) -> Iterator[Property]:
    """Yield each of the ``encoded`` properties; stop at malformed ones, which the broker should have rejected."""
    at = 0
    while at < len(encoded):
        identifier = encoded[at]
        end = at + 1 + _FIXED.get(identifier, 0)
        for _ in range(_STRINGS.get(identifier, 0)):
            if end + _U16.size > len(encoded):
                return
            end += _U16.size + _U16.unpack_from(encoded, end)[0]
        if identifier == _SUBSCRIPTION_ID:
            while end < len(encoded) and encoded[end] & 0x80:
                end += 1
            end += 1
        if end == at + 1 or end > len(encoded):
            return
        yield Property(identifier, encoded[at:end])
        at = end


def forwarded_properties(encoded: bytes) -> bytes:
    """Return the encoded properties that a forecast takes from its reading: correlation data, user properties.

    >>> forwarded_properties(bytes.fromhex("020000012c" "26" "0001" "6b" "0001" "76" "09" "0002" "0102")).hex()
    '2600016b0001760900020102'
    """
    forwarded = b"".join(one.raw for one in properties_in(encoded) if one.identifier in _FORWARDED)
    return forwarded if len(forwarded) <= MAX_FORWARDED_BYTES else b""


def response_topic_in(encoded: bytes) -> str | None:
    """Return the response topic; None if absent or not UTF-8."""
    for one in properties_in(encoded):
        if one.identifier == RESPONSE_TOPIC:
            try:
                return one.content.decode()
            except UnicodeDecodeError:
                return None
    return None


def content_type(media_type: str) -> bytes:
    """Return the encoded content type property.

    >>> content_type("a/b").hex()
    '030003612f62'
    """
    return bytes((CONTENT_TYPE,)) + _U16.pack(len(media_type)) + media_type.encode()
