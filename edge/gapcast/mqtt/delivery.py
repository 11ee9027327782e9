"""At least once: which forecasts the broker has confirmed, and which readings may therefore be acknowledged.

Pure bookkeeping of packet identifiers; what must be sent is given to ``write``. MQTT wants readings
acknowledged in the order they came (5.0, 4.6), so they stand in a ledger, each with the forecast it
waits for and the batch that must be kept first. On a new connection the ledger is void, since the broker
sends again what was not acknowledged, and what it has not confirmed is sent again (5.0, 4.4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gapcast.mqtt.frames import Acknowledgement, encode_puback

#: Our identifiers; paho's own (it subscribes) count up from 1 and never come this far.
FIRST_ID, LAST_ID = 0x8000, 0xFFFF


class Outgoing(NamedTuple):
    """A message at QoS 1 that is not confirmed: encoded anew whenever it is sent."""

    topic: bytes
    payload: bytes
    retain: bool
    expires_s: float | None
    extra: bytes = b""  # properties of MQTT 5, encoded


class Delivery:
    """The state of a session's QoS 1 messages in both directions."""

    def __init__(self, write: Callable[[bytes], None], encode: Callable[[int, Outgoing, bool], bytes]) -> None:
        """Send by ``write`` what ``encode(packet_id, message, again)`` makes of a message."""
        self._write = write
        self._encode = encode
        #: Messages on the wire at a time: the broker's Receive Maximum.
        self.window = LAST_ID - FIRST_ID
        self._online = False
        self._last_id = FIRST_ID - 1
        self._unconfirmed: dict[int, Outgoing] = {}
        self._sent: set[int] = set()  # of those: the ones that were on the wire, in this connection or before
        self._waiting: deque[int] = deque()
        self._ledger: deque[tuple[int, int, int]] = deque()  # reading, message, batch
        self._kept = 0  # the last batch that is kept

    def __len__(self) -> int:
        """Return how many messages are not confirmed."""
        return len(self._unconfirmed)

    @property
    def newest(self) -> int:
        """The identifier of the newest message that is not confirmed; 0 where all are."""
        return next(reversed(self._unconfirmed), 0)

    def send(self, message: Outgoing) -> int:
        """Send ``message`` as soon as the window allows; return its packet identifier."""
        packet_id = self._next_id()
        self._unconfirmed[packet_id] = message
        if self._online and not self._waiting and len(self._unconfirmed) <= self.window:
            self._put(packet_id)
        else:
            self._waiting.append(packet_id)
        return packet_id

    def confirm(self, acknowledgement: Acknowledgement) -> None:
        """Take the broker's word for a message, let the next ones go, and settle what waited for it."""
        if acknowledgement.packet_id not in self._unconfirmed:
            return
        del self._unconfirmed[acknowledgement.packet_id]
        self._sent.discard(acknowledgement.packet_id)
        self._fill_window()
        self._advance()

    def settle(self, reading_id: int, message_id: int, batch: int = 0) -> None:
        """Acknowledge the reading ``reading_id`` once ``message_id`` is confirmed and ``batch`` kept (0: no need)."""
        self._ledger.append((reading_id, message_id, batch))
        self._advance()

    def confirmed(self, message_ids: Sequence[int]) -> bool:
        """Tell whether all of ``message_ids``, in the order they were sent, are confirmed (0 always is)."""
        unconfirmed = self._unconfirmed
        if not message_ids or not unconfirmed:
            return True
        return message_ids[-1] not in unconfirmed and unconfirmed.keys().isdisjoint(message_ids)

    def keep(self, batch: int) -> None:
        """Note that all batches up to ``batch`` are kept, and acknowledge what waited for that."""
        self._kept = batch
        self._advance()

    def connected(self, window: int) -> None:
        """Begin a new connection: send again all that is not confirmed, ``window`` at a time."""
        self.window = window
        self._online = True
        self._ledger.clear()
        self._waiting = deque(self._unconfirmed)
        self._fill_window()

    def disconnected(self) -> None:
        """End the connection: keep what is not confirmed, and forget what would have been acknowledged."""
        self._online = False
        self._ledger.clear()
        self._waiting = deque(self._unconfirmed)

    def _next_id(self) -> int:
        for _ in range(LAST_ID - FIRST_ID + 1):
            self._last_id = FIRST_ID if self._last_id >= LAST_ID else self._last_id + 1
            if self._last_id not in self._unconfirmed:
                return self._last_id
        msg = "32,768 messages are not confirmed"
        raise OverflowError(msg)

    def _fill_window(self) -> None:
        while self._online and self._waiting and len(self._unconfirmed) - len(self._waiting) < self.window:
            self._put(self._waiting.popleft())

    def _put(self, packet_id: int) -> None:
        self._write(self._encode(packet_id, self._unconfirmed[packet_id], packet_id in self._sent))
        self._sent.add(packet_id)

    def _advance(self) -> None:
        ledger, unconfirmed, kept = self._ledger, self._unconfirmed, self._kept
        while ledger and ledger[0][2] <= kept and ledger[0][1] not in unconfirmed:
            self._write(encode_puback(ledger.popleft()[0]))
