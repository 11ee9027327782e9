"""The queue of messages that a session has received and the service has not taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from gapcast.mqtt.packets.frames import Publication

_new_tuple = tuple.__new__

#: Maximum queue length: beyond it, QoS 0 messages are dropped; QoS 1 messages are always queued.
_MAX_QUEUED = 20_000


class ReceivedMessage(NamedTuple):
    """A publication, and when it was read from the network (``time.perf_counter`` and epoch ms)."""

    publication: Publication
    received_s: float
    received_ms: int

    @property
    def arrival_ms(self) -> int | None:
        """When it arrived, epoch ms; None if it was retained or redelivered: its age is unknown."""
        publication = self.publication
        return None if publication.retained or publication.redelivered else self.received_ms


class ReceivedMessages:
    """The queue of received messages, in order of arrival."""

    def __init__(self) -> None:
        #: The messages that have not been taken; only this class changes the queue.
        self.queue: deque[ReceivedMessage] = deque()
        self.n_taken = 0
        self.n_dropped = 0

    def take(self, n_at_most: int) -> list[ReceivedMessage]:
        """Remove and return up to ``n_at_most`` messages."""
        queue = self.queue
        if len(queue) <= n_at_most:
            taken = list(queue)
            queue.clear()
        else:
            taken = [queue.popleft() for _ in range(n_at_most)]
        self.n_taken += len(taken)
        return taken

    def add(self, publications: Sequence[Publication], now: tuple[float, int]) -> bool:
        """Append ``publications``, received ``now``; return False if the full queue dropped a QoS 0 message."""
        received_s, received_ms = now
        taken = publications
        n_free = _MAX_QUEUED - len(self.queue)
        if len(publications) > n_free:
            taken = [one for i, one in enumerate(publications) if i < n_free or one.packet_id]
            self.n_dropped += len(publications) - len(taken)
        # As ReceivedMessage(...), in half the time: there is one for each reading.
        self.queue.extend([_new_tuple(ReceivedMessage, (one, received_s, received_ms)) for one in taken])
        return len(taken) == len(publications)

    def disconnected(self) -> None:
        """Discard the packet identifiers, which belong to the lost connection."""
        self.queue = deque(one._replace(publication=one.publication._replace(packet_id=0)) for one in self.queue)
