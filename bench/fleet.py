"""A fleet of meters that report once a minute, as pre-encoded PUBLISH packets."""

from __future__ import annotations

import datetime as dt

import numpy as np

from bench import wire

FIRST_MINUTE = dt.datetime(2010, 11, 1, tzinfo=dt.UTC)
_TS, _KW = b"2010-11-01T00:00:00Z", b"1.234"
_PAYLOAD = b'{"ts": "%b", "gap_kw": %b}' % (_TS, _KW)
_LAST_PACKET_ID = 65_535
_ZERO = ord("0")


def device_name(index: int) -> str:
    """Return the name of a device; all names, and so all packets, have the same length.

    >>> device_name(7)
    'meter-000007'
    """
    return f"meter-{index:06d}"


def index_of(topic: bytes, stamp: bytes, n_devices: int) -> int:
    """Return the index of the fleet's reading with this topic and minute, in sending order.

    >>> index_of(b"gap/meter-000007/forecast", b"2010-11-01T00:02:00Z", n_devices=1_000)
    2007
    """
    device = topic.split(b"/")[1]
    minute = (dt.datetime.fromisoformat(stamp.decode()) - FIRST_MINUTE) // dt.timedelta(minutes=1)
    return minute * n_devices + int(device.rpartition(b"-")[2])


class Fleet:
    """Encodes one packet per device and minute, minute by minute, so that no reading is a duplicate.

    >>> fleet = Fleet(2, qos=0)
    >>> minute = fleet.next_minute()
    >>> frames, _ = wire.split(minute)
    >>> wire.topic_and_payload(minute, frames[1])[0]
    b'gap/meter-000001/reading'
    >>> minute = fleet.next_minute()
    >>> wire.topic_and_payload(minute, frames[0])[1][:29]
    b'{"ts": "2010-11-01T00:01:00Z"'
    """

    def __init__(self, n_devices: int, qos: int) -> None:
        """``n_devices`` meters that publish at ``qos`` (0 or 1), drawing power at random, the same in each run."""
        self.n_devices, self.qos = n_devices, qos
        topics = (f"gap/{device_name(index)}/reading".encode() for index in range(n_devices))
        packets = [wire.publish(topic, _PAYLOAD, packet_id=qos) for topic in topics]
        self.packet_bytes = len(packets[0])
        # [device, byte]: a minute changes the same few columns in every row.
        self._packets = np.frombuffer(b"".join(packets), dtype=np.uint8).reshape(n_devices, -1).copy()
        self._ts_at, self._kw_at = packets[0].index(_TS), packets[0].index(_KW, packets[0].index(b"gap_kw"))
        self._id_at = packets[0].index(_PAYLOAD) - 2
        self._draw = np.random.default_rng(1)
        self.n_minutes = 0

    def next_minute(self) -> bytes:
        """Return the packets of all devices for the next minute, one after the other."""
        ts = (FIRST_MINUTE + dt.timedelta(minutes=self.n_minutes)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        self._packets[:, self._ts_at : self._ts_at + len(ts)] = np.frombuffer(ts, dtype=np.uint8)
        self._packets[:, self._kw_at] = _ZERO + self._draw.integers(0, 3, self.n_devices)
        decimals = slice(self._kw_at + 2, self._kw_at + len(_KW))
        self._packets[:, decimals] = _ZERO + self._draw.integers(0, 10, (self.n_devices, 3))
        if self.qos:
            first = self.n_minutes * self.n_devices
            packet_ids = (first + np.arange(self.n_devices)) % _LAST_PACKET_ID + 1
            self._packets[:, self._id_at] = packet_ids >> 8
            self._packets[:, self._id_at + 1] = packet_ids & 0xFF
        self.n_minutes += 1
        return self._packets.tobytes()
