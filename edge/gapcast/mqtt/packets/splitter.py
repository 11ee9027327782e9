"""Splits the bytes of a connection into packets, and decodes PUBLISH and PUBACK (MQTT 3.1.1 and 5.0, 3.3 and 3.4).

The compiled library splits what it can (:mod:`.compiled_packets`), and Python the rest, with the same result. Property
tests compare the two, and this decoder with paho's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gapcast.mqtt.packets.compiled_packets import CompiledPackets
from gapcast.mqtt.packets.frames import (
    DUP,
    MAX_PAYLOAD,
    PUBACK,
    PUBLISH,
    RETAIN,
    Acknowledgement,
    OtherPacket,
    Publication,
)

_U16 = struct.Struct("!H")
_MAX_LENGTH_BYTES = 4
_SHORT = "it ends within its own header"
#: Properties longer than this are discarded; no other packet type is this long.
_MAX_HEAD = 16 * MAX_PAYLOAD
#: Maximum number of bytes of an incomplete packet that are copied in front of the next data for the compiled library.
_MAX_REST = 4_096
_new_tuple = tuple.__new__


class ProtocolError(OSError):
    """The peer sent a packet that is not valid; the connection is unusable."""


class Splitter:
    """Splits the byte stream of one connection into packets, in whatever pieces it arrives."""

    def __init__(self, *, mqtt5: bool) -> None:
        self._mqtt5 = mqtt5
        self._compiled = CompiledPackets.create_if_available(mqtt5=mqtt5)
        self._received = b""  # not split yet, for the compiled library; its remainder goes to the buffer
        self._split: Iterator[Publication | Acknowledgement] = iter(())  # split packets that were not yielded yet
        self._buffer = bytearray()
        self._skip = 0  # bytes of an oversized payload still to be received
        self._truncated: Publication | None = None

    def __len__(self) -> int:
        """Return the number of buffered bytes."""
        return len(self._received) + len(self._buffer)

    def feed(self, received: bytes | bytearray) -> None:
        """Add received bytes."""
        if self._skip:
            n_skipped = min(self._skip, len(received))
            self._skip -= n_skipped
            received = received[n_skipped:]
        if self._compiled is None or self._truncated is not None or len(self._buffer) > _MAX_REST:
            self._buffer += received
        elif self._buffer or self._received:
            self._received = bytes(self._buffer or self._received) + received  # one of the two is empty
            self._buffer.clear()
        else:
            self._received = bytes(received)  # a WebSocket of paho 2.1 returns a bytearray

    def packets(self) -> Iterator[Publication | Acknowledgement | OtherPacket]:
        """Yield each complete packet. Raises :class:`ProtocolError` on bytes that are not MQTT.

        If the caller raises an error while it handles a packet, the next call yields the packets after it.
        """
        buffer = self._buffer
        yield from self._split
        if self._received and self._compiled is not None:
            received, self._received = self._received, b""
            packets, n_split = self._compiled.split(received)
            buffer += received[n_split:]
            self._split = iter(packets)
            yield from self._split
        at = 0
        try:
            while buffer or self._truncated is not None:
                if self._truncated is not None:
                    if self._skip:
                        return
                    publication, self._truncated = self._truncated, None
                    yield publication
                n_received = len(buffer)
                is_short = at + 1 < n_received and buffer[at + 1] < 0x80  # noqa: PLR2004 - a length of one byte
                header = (at + 2, at + 2 + buffer[at + 1]) if is_short else self._header(at)
                if header is None:
                    return
                body, end = header
                if end > n_received:
                    if not self._begin_truncation(at, body, end):
                        return
                    at = len(buffer)
                    continue
                start, at = at, end
                kind = buffer[start] & 0xF0
                if kind == PUBLISH:
                    yield self._publication(buffer[start], body, end, end - body)
                elif kind == PUBACK:
                    yield self._acknowledgement(body, end)
                else:
                    yield OtherPacket(bytes(buffer[start:end]))
        except (struct.error, IndexError) as error:
            msg = f"malformed packet: {_SHORT}"
            raise ProtocolError(msg) from error
        finally:
            del buffer[:at]

    def _acknowledgement(self, body: int, end: int) -> Acknowledgement:
        if end - body < _U16.size:
            raise IndexError(_SHORT)
        reason = self._buffer[body + 2] if end - body > 2 else 0  # noqa: PLR2004 - after the packet id
        return Acknowledgement(_U16.unpack_from(self._buffer, body)[0], reason)

    def _header(self, at: int) -> tuple[int, int] | None:
        """Return where the body of the packet at ``at`` begins and ends, or None until its header is received."""
        buffer = self._buffer
        n_body = shift = 0
        for offset in range(at + 1, at + 1 + _MAX_LENGTH_BYTES):
            if offset >= len(buffer):
                return None
            byte = buffer[offset]
            n_body |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - no continuation bit
                return offset + 1, offset + 1 + n_body
            shift += 7
        msg = "malformed packet: a remaining length of more than four bytes"
        raise ProtocolError(msg)

    def _publication(self, head: int, body: int, end: int, n_body: int) -> Publication:
        buffer = self._buffer
        at = body + 2 + (buffer[body] << 8 | buffer[body + 1])
        topic = buffer[body + 2 : at].decode("utf-8", "replace")
        packet_id = 0
        if head & 0x06:
            packet_id = _U16.unpack_from(buffer, at)[0]
            at += 2
        properties = b""
        if self._mqtt5:
            n_properties = buffer[at]
            at += 1
            if n_properties >= 0x80:  # noqa: PLR2004 - a longer variable byte integer
                at, n_properties = self._long_properties(at - 1)
            if n_properties:
                if at + n_properties > end:
                    raise IndexError(_SHORT)
                properties = bytes(buffer[at : at + n_properties])
                at += n_properties
        if at > end:
            raise IndexError(_SHORT)
        n_payload = body + n_body - at
        payload = bytes(buffer[at : end if n_payload <= MAX_PAYLOAD else min(end, at + MAX_PAYLOAD)])
        is_resent, is_retained = head & DUP != 0, head & RETAIN != 0
        # As Publication(...), in half the time: there is one for each reading.
        return _new_tuple(
            Publication, (topic, payload, packet_id, is_resent, is_retained, properties, n_payload, 0, 0.0)
        )

    def _without_properties(self, head: int, body: int, n_body: int) -> Publication:
        """Return a PUBLISH without its oversized properties and its payload."""
        after_topic = body + 2 + _U16.unpack_from(self._buffer, body)[0]
        topic = self._buffer[body + 2 : after_topic].decode("utf-8", "replace")
        packet_id = _U16.unpack_from(self._buffer, after_topic)[0] if head & 0x06 else 0
        return Publication(topic, b"", packet_id, bool(head & DUP), bool(head & RETAIN), b"", n_body)

    def _long_properties(self, at: int) -> tuple[int, int]:
        n_properties = 0
        for shift in range(0, 7 * _MAX_LENGTH_BYTES, 7):
            byte = self._buffer[at]
            at += 1
            n_properties |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - no continuation bit
                return at, n_properties
        msg = "malformed packet: a length of properties of more than four bytes"
        raise ProtocolError(msg)

    def _begin_truncation(self, at: int, body: int, end: int) -> bool:
        """Parse the head of a giant PUBLISH once it is received, and skip the rest."""
        buffer = self._buffer
        if buffer[at] & 0xF0 != PUBLISH:
            if end - body > _MAX_HEAD:
                msg = f"a packet of type {buffer[at] >> 4} with {end - body} bytes"
                raise ProtocolError(msg)
            return False
        if len(buffer) - body < 2 * MAX_PAYLOAD:
            return False
        try:
            publication = self._publication(buffer[at], body, len(buffer), end - body)
        except (IndexError, struct.error):  # its header is not complete yet
            if len(buffer) - body < _MAX_HEAD:
                return False
            publication = self._without_properties(buffer[at], body, end - body)
            self._truncated, self._skip = publication, end - len(buffer)
            return True
        if len(publication.payload) < MAX_PAYLOAD:  # the truncated payload is not complete yet
            return False
        self._truncated = publication
        self._skip = end - len(buffer)
        return True
