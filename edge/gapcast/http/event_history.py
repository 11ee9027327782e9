"""The last events, encoded once for all readers."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from gapcast.core.buffer import ReadingStatus
from gapcast.core.grid import minute_label
from gapcast.service.event_feed import BatchEvent, DeviceEvent

#: Events that are held: hours of a house, a second of the largest fleet that is told of.
N_EVENTS = 4_096
_TAKEN = (ReadingStatus.READY, ReadingStatus.FIRST)


class Event(NamedTuple):
    """One event as it is sent; ``device`` is whose it is, None where it is everyone's."""

    device: str | None
    text: bytes


def encoded(kind: str, data: bytes, id_: int | None = None) -> bytes:
    r"""Return an event as it is sent.

    >>> encoded("device", b"{}", 7)
    b'id: 7\nevent: device\ndata: {}\n\n'
    """
    head = b"" if id_ is None else b"id: %d\n" % id_
    return b"%sevent: %s\ndata: %s\n\n" % (head, kind.encode(), data)


class Ring:
    """At most ``n_events`` events, whose ids go up by one, and go on rising over a restart."""

    def __init__(self, n_events: int = N_EVENTS) -> None:
        self._events: deque[Event] = deque(maxlen=n_events)
        #: Id of the event that comes next: the clock's microseconds at the start, which no count catches up with.
        self.next_id = time.time_ns() // 1_000

    @property
    def first_id(self) -> int:
        """Id of the oldest event that is held, or of the next one."""
        return self.next_id - len(self._events)

    def restart(self) -> None:
        """Hold nothing of before: something may have happened since that was not put here."""
        self._events.clear()
        self.next_id += 1

    def add(self, what: BatchEvent | DeviceEvent) -> None:
        """Put what happened here, as one event or as several."""
        if isinstance(what, DeviceEvent):
            self.put(what.kind, what.device, _json(what.document))
            return
        accepted, forecasts = what.accepted, what.forecasts
        for reading, verdict, place in zip(what.readings, accepted.statuses, accepted.place, strict=True):
            if verdict not in _TAKEN:
                continue
            device = reading.device
            document = {"device": device, "ts": minute_label(reading.minute), "gap_kw": reading.gap_kw}
            self.put("reading", device, _json(document))
            if 0 <= place < len(forecasts):
                self.put("forecast", device, _json(forecasts[place].document()))

    def put(self, kind: str, device: str | None, data: bytes) -> None:
        """Put an event here."""
        self._events.append(Event(device, encoded(kind, data, self.next_id)))
        self.next_id += 1

    def place_after(self, last_id: str | None) -> tuple[int, bool]:
        """Return the id to go on from after ``last_id``, and whether all since then is held.

        Without one it is the next event.
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
        """Return events from ``position`` on, of ``device`` or of all (None), and the id to go on from.

        It is about ``max_bytes`` of them at most.
        """
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
