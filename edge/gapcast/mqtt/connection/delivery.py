"""At-least-once delivery: tracks which forecasts are confirmed and which readings may therefore be acknowledged.

Pure bookkeeping of packet identifiers; packets to send go to ``write``. MQTT requires that readings are acknowledged in
order of arrival (5.0, 4.6), so they are queued, each with the forecast and the batch that it waits for. A reconnection
clears this queue, because the broker sends unacknowledged readings again; unconfirmed forecasts are sent again to the
broker (5.0, 4.4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gapcast.mqtt.packets.frames import Acknowledgement, encode_pubacks

#: Packet identifiers of gapcast; paho uses low ones, counting from 1, to subscribe.
FIRST_ID, LAST_ID = 0x8000, 0xFFFF


class Outgoing(NamedTuple):
    """An unconfirmed message at QoS 1, encoded each time it is sent."""

    topic: bytes
    payload: bytes
    retain: bool
    expires_s: float | None
    extra: bytes = b""  # properties of MQTT 5, encoded
    is_dropped_expired: bool = False  # whether it is worthless, or harmful, once expired


class SentBatch:
    """Messages sent in one piece; they are made one by one only if one must be sent again."""

    def __init__(self, ids: Sequence[int], make_messages: Callable[[], Iterable[Outgoing]]) -> None:
        """``make_messages`` returns the messages with the packet identifiers ``ids``, in their order."""
        self.ids = ids
        self._make_messages: Callable[[], Iterable[Outgoing]] | None = make_messages
        self._messages: dict[int, Outgoing] = {}

    def message(self, packet_id: int) -> Outgoing:
        """Return the message with ``packet_id``."""
        if self._make_messages is not None:
            self._messages = dict(zip(self.ids, self._make_messages(), strict=True))
            self._make_messages = None  # and the sent piece, which it holds
        return self._messages[packet_id]


class Delivery:
    """The state of a session's QoS 1 messages in both directions."""

    def __init__(self, write: Callable[[bytes], None], encode: Callable[[int, Outgoing, bool], bytes | None]) -> None:
        """Send the packets that ``encode(packet_id, message, is_resent)`` returns with ``write``.

        A message for which ``encode`` returns None must not be sent, or not again: it is dropped as if it was
        confirmed.
        """
        self._write = write
        self._encode = encode
        #: Maximum number of messages in flight: the broker's Receive Maximum.
        self.max_in_flight = LAST_ID - FIRST_ID + 1
        self._online = False
        self._last_id = FIRST_ID - 1
        #: The unconfirmed messages, or their batches, by packet identifier; only this class changes it.
        self.unconfirmed: dict[int, Outgoing | SentBatch] = {}
        self._sent: set[int] = set()  # unconfirmed messages sent alone, on any connection
        self._waiting: deque[int] = deque()
        self._unacknowledged: deque[tuple[int, int, int]] = deque()  # reading, message, batch
        self._last_persisted = 0  # number of the last persisted batch

    def __len__(self) -> int:
        """Return the number of unconfirmed messages."""
        return len(self.unconfirmed)

    @property
    def newest(self) -> int:
        """The identifier of the newest unconfirmed message; 0 if all are confirmed."""
        return next(reversed(self.unconfirmed), 0)

    def send(self, message: Outgoing) -> int:
        """Send ``message`` as soon as :attr:`max_in_flight` allows; return its packet identifier."""
        packet_id = self._next_id()
        self.unconfirmed[packet_id] = message
        if self._online and not self._waiting and len(self.unconfirmed) <= self.max_in_flight:
            self._put(packet_id)
        else:
            self._waiting.append(packet_id)
        return packet_id

    def sends_at_once(self, n: int) -> bool:
        """Return whether the next ``n`` messages would be sent at once."""
        return self._online and not self._waiting and len(self.unconfirmed) + n <= self.max_in_flight

    def next_ids(self, n: int) -> list[int]:
        """Return the packet identifiers that the next ``n`` messages will have."""
        last_id = self._last_id
        successors = range(last_id + 1, last_id + 1 + n)
        if successors.stop <= LAST_ID and self.unconfirmed.keys().isdisjoint(successors):
            return list(successors)
        ids = [self._next_id() for _ in range(n)]
        self._last_id = last_id
        return ids

    def add_sent(self, batch: SentBatch) -> None:
        """Wait for the confirmations of ``batch``, at least one message, which the caller sent by :meth:`next_ids`."""
        self.unconfirmed.update(dict.fromkeys(batch.ids, batch))
        self._last_id = batch.ids[-1]

    def confirm(self, acknowledgements: Iterable[Acknowledgement]) -> None:
        """Record confirmations, send the next messages, and acknowledge the readings that waited for them."""
        unconfirmed, sent = self.unconfirmed, self._sent
        for packet_id, _ in acknowledgements:
            if unconfirmed.pop(packet_id, None) is not None:
                sent.discard(packet_id)
        self._send_waiting()
        self._acknowledge_ready()

    def acknowledge_after(self, reading_id: int, message_id: int, batch: int = 0) -> None:
        """Acknowledge ``reading_id`` once ``message_id`` is confirmed and ``batch`` persisted (0: do not wait)."""
        self._unacknowledged.append((reading_id, message_id, batch))
        if batch <= self._last_persisted and message_id not in self.unconfirmed:
            self._acknowledge_ready()

    def has_confirmed(self, message_ids: Sequence[int]) -> bool:
        """Return whether all of ``message_ids``, in the order they were sent, are confirmed (0 counts as confirmed)."""
        unconfirmed = self.unconfirmed
        if not message_ids or not unconfirmed:
            return True
        return message_ids[-1] not in unconfirmed and unconfirmed.keys().isdisjoint(message_ids)

    def mark_persisted(self, batch: int) -> None:
        """Record that all batches up to ``batch`` are persisted, and acknowledge the readings that waited for them."""
        self._last_persisted = batch
        self._acknowledge_ready()

    def connected(self, max_in_flight: int) -> None:
        """Begin a new connection: send all unconfirmed messages again, at most ``max_in_flight`` at a time."""
        self.max_in_flight = min(max_in_flight, LAST_ID - FIRST_ID + 1)
        self._online = True
        self._unacknowledged.clear()
        self._waiting = deque(self.unconfirmed)
        self._send_waiting()

    def disconnected(self) -> None:
        """End the connection: keep the unconfirmed messages and clear the acknowledgements."""
        self._online = False
        self._unacknowledged.clear()
        self._waiting = deque(self.unconfirmed)

    def _next_id(self) -> int:
        for _ in range(LAST_ID - FIRST_ID + 1):
            self._last_id = FIRST_ID if self._last_id >= LAST_ID else self._last_id + 1
            if self._last_id not in self.unconfirmed:
                return self._last_id
        msg = "32,768 messages are not confirmed"
        raise OverflowError(msg)

    def _send_waiting(self) -> None:
        while self._online and self._waiting and len(self.unconfirmed) - len(self._waiting) < self.max_in_flight:
            packet_id = self._waiting.popleft()
            if packet_id in self.unconfirmed:  # else a broker confirmed a message that was not sent
                self._put(packet_id)

    def _put(self, packet_id: int) -> None:
        unconfirmed, is_resent = self.unconfirmed[packet_id], packet_id in self._sent
        if isinstance(unconfirmed, SentBatch):
            unconfirmed, is_resent = unconfirmed.message(packet_id), True
        packet = self._encode(packet_id, unconfirmed, is_resent)
        if packet is None:
            del self.unconfirmed[packet_id]
            self._sent.discard(packet_id)
        else:
            self._write(packet)
            self._sent.add(packet_id)

    def _acknowledge_ready(self) -> None:
        waiting, unconfirmed, persisted = self._unacknowledged, self.unconfirmed, self._last_persisted
        ready = []
        while waiting and waiting[0][2] <= persisted and waiting[0][1] not in unconfirmed:
            ready.append(waiting.popleft()[0])
        if ready:
            self._write(encode_pubacks(ready))
