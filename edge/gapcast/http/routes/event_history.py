"""The last events, encoded once for all readers."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from gapcast.core.demand.demand import Demands
from gapcast.core.demand.documents.demand_json import DemandEncoder
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.outlook.documents.outlook_json import OutlookEncoder
from gapcast.core.outlook.outlook import Outlooks
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.core.time_grid import minute_label
from gapcast.service.reports.event_feed import DeviceEvent, FeedEvent

#: Number of stored events: hours of a household, or a second of the largest fleet.
N_EVENTS = 4_096
_ACCEPTED = (ReadingStatus.READY, ReadingStatus.FIRST)


class Event(NamedTuple):
    """One encoded event of ``device``; None: an event of the gateway, for every reader."""

    device: str | None
    text: bytes


def encoded(kind: str, data: bytes, id_: int | None = None) -> bytes:
    r"""Return an encoded event.

    >>> encoded("device", b"{}", 7)
    b'id: 7\nevent: device\ndata: {}\n\n'
    """
    head = b"" if id_ is None else b"id: %d\n" % id_
    return b"%sevent: %s\ndata: %s\n\n" % (head, kind.encode(), data)


class Ring:
    """A ring buffer of ``n_events`` events, whose ids increase by one, also across restarts."""

    def __init__(self, n_events: int = N_EVENTS) -> None:
        self._events: deque[Event] = deque(maxlen=n_events)
        self._encode_outlooks, self._encode_demands = OutlookEncoder().encode, DemandEncoder().encode
        #: Id of the next event. Starts at the clock's microseconds, so that ids also increase across restarts.
        self.next_id = time.time_ns() // 1_000

    @property
    def first_id(self) -> int:
        """Id of the oldest stored event, or of the next one if none is stored."""
        return self.next_id - len(self._events)

    def restart(self) -> None:
        """Clear the ring, because events may have been missed."""
        self._events.clear()
        self.next_id += 1

    def add(self, event: FeedEvent) -> None:
        """Store an event of the feed, as one or several events."""
        if isinstance(event, Outlooks):
            for device, payload in zip(event.devices, self._encode_outlooks(event), strict=True):
                self.put("outlook", device, payload)
            return
        if isinstance(event, Demands):
            for device, payload in zip(event.devices, self._encode_demands(event), strict=True):
                self.put("demand", device, payload)
            return
        if isinstance(event, DeviceEvent):
            self.put(event.kind, event.device, _json(event.document))
            return
        accepted, forecasts = event.accepted, event.forecasts
        for reading, status, index in zip(event.readings, accepted.statuses, accepted.forecast_indices, strict=True):
            if status not in _ACCEPTED:
                continue
            device = reading.device
            document: dict[str, object] = {
                "device": device,
                "ts": minute_label(reading.minute),
                "gap_kw": round(reading.gap_kw, DECIMALS),
            }
            if reading.is_filled:
                document["filled"] = True
            self.put("reading", device, _json(document))
            if 0 <= index < len(forecasts):
                self.put("forecast", device, _json(forecasts[index].document()))

    def put(self, kind: str, device: str | None, data: bytes) -> None:
        """Store one event."""
        self._events.append(Event(device, encoded(kind, data, self.next_id)))
        self.next_id += 1

    def position_after(self, last_id: str | None) -> tuple[int, bool]:
        """Return the id to resume from after ``last_id``, and whether all events since then are stored.

        Without ``last_id``, returns the id of the next event.
        """
        if last_id is None:
            return self.next_id, True
        try:
            position = int(last_id) + 1
        except ValueError:
            return self.next_id, False
        if self.first_id <= position <= self.next_id:
            return position, True
        return self.next_id, False

    def read(self, position: int, device: str | None, max_bytes: int) -> tuple[bytes, int]:
        """Return about ``max_bytes`` of events of ``device`` (None: all) from ``position``, and the next position."""
        parts: list[bytes] = []
        n_bytes = 0
        for event in islice(self._events, position - self.first_id, None):
            if n_bytes >= max_bytes:
                break
            position += 1
            if device is None or event.device is None or event.device == device:
                parts.append(event.text)
                n_bytes += len(event.text)
        return b"".join(parts), position


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
