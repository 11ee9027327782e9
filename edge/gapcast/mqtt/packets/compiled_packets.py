"""Splits received bytes into PUBLISH and PUBACK packets in C: ``struct packets`` of ``edge/native/packets.c``.

The result is the same as :class:`~gapcast.mqtt.packets.splitter.Splitter` gives in Python, with plain readings already
decoded: objects with only ``ts`` and ``gap_kw``, which :mod:`gapcast.mqtt.payloads` decodes otherwise.
"""

from __future__ import annotations

import ctypes
import struct

import numpy as np

from gapcast.compiled.functions import Function, load_function, set_pointers
from gapcast.mqtt.packets.frames import DUP, PUBLISH, RETAIN, Acknowledgement, Publication

#: Maximum number of packets that one call finds.
MAX_PACKETS = 512
#: A packet: first byte, packet id, start offsets of topic, properties and payload, end offsets of topic and payload,
#: and its reading, minute and kW.
_PACKET = struct.Struct("8qd")
_new_tuple = tuple.__new__


class PacketsStruct(ctypes.Structure):
    """The argument of ``gapcast_packets``."""

    _fields_ = [
        ("n_bytes", ctypes.c_int64),
        ("has_properties", ctypes.c_int64),
        ("at", ctypes.c_int64),
        ("bytes", ctypes.c_char_p),
        ("found", ctypes.POINTER(ctypes.c_uint8)),
    ]


class CompiledPackets:
    """Splits the bytes of one connection."""

    def __init__(self, function: Function, *, mqtt5: bool) -> None:
        """Split with ``function``, the library's ``gapcast_packets``."""
        self._function = function
        self._struct = PacketsStruct(has_properties=mqtt5)
        self._address = ctypes.addressof(self._struct)
        self._array = np.zeros(MAX_PACKETS * _PACKET.size, dtype=np.uint8)
        self._found = self._array.data
        set_pointers(self._struct, found=self._array)
        self._mqtt5 = mqtt5

    @classmethod
    def create_if_available(cls, *, mqtt5: bool) -> CompiledPackets | None:
        """Return a splitter of MQTT 5 packets, or of 3.1.1 packets; None without the library."""
        function = load_function("gapcast_packets")
        return None if function is None else cls(function, mqtt5=mqtt5)

    def split(self, received: bytes) -> tuple[list[Publication | Acknowledgement], int]:
        """Return the packets at the beginning of ``received``, and their length in bytes.

        Stops before the first packet that is incomplete, of another kind, long or malformed.
        """
        of_call = self._struct
        packets: list[Publication | Acknowledgement] = []
        of_call.bytes, of_call.n_bytes, of_call.at = received, len(received), 0  # the structure holds the bytes
        n = MAX_PACKETS
        while n == MAX_PACKETS:
            n = self._function(self._address, n)
            self._add_packets(received, n, packets)
        return packets, of_call.at

    def _add_packets(self, received: bytes, n: int, packets: list[Publication | Acknowledgement]) -> None:
        """Append the ``n`` packets that the last call found in ``received``."""
        mqtt5, add, properties = self._mqtt5, packets.append, b""
        for (
            head, packet_id, topic_at, topic_end, properties_at, payload_at, end, minute, gap_kw,
        ) in _PACKET.iter_unpack(self._found[: n * _PACKET.size]):  # fmt: skip
            if head & 0xF0 == PUBLISH:
                topic, payload = received[topic_at:topic_end].decode("utf-8", "replace"), received[payload_at:end]
                if mqtt5:
                    properties = received[properties_at:payload_at]
                is_resent, is_retained = head & DUP != 0, head & RETAIN != 0
                # As Publication(...), in half the time: there is one for each reading.
                add(_new_tuple(Publication, (
                    topic, payload, packet_id, is_resent, is_retained, properties, end - payload_at, minute, gap_kw,
                )))  # fmt: skip
            else:
                add(_new_tuple(Acknowledgement, (packet_id & 0xFFFF, packet_id >> 16)))
