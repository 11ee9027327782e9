"""Sends the documents of a batch in one piece, each on its device's topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gapcast.core.forecasts.json_rows import Packets, WrittenRows
from gapcast.mqtt.connection.delivery import Outgoing, SentBatch
from gapcast.mqtt.packets.frames import PUBLISH, RETAIN
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DeviceTopic

#: Writes the packets of a batch, given their expiries (none: MQTT 3.1.1) and ids (none: QoS 0); None if it cannot.
PacketWriter = Callable[[Sequence[int], Sequence[int]], WrittenRows | None]


class BatchSender:
    """Sends batches of packets that were written together."""

    def __init__(self, session: Session, topic: DeviceTopic, *, retain: bool) -> None:
        """Send over ``session`` on each device's ``topic``."""
        self._session = session
        self._retain = retain
        self._before, self._after = topic.before.encode(), topic.after.encode()
        #: How the documents are published.
        self.packets = Packets(self._before, self._after, PUBLISH | (retain and RETAIN))

    def topic_of(self, device: str) -> bytes:
        """Return the topic of ``device``."""
        return b"%b%b%b" % (self._before, device.encode(), self._after)

    def send(
        self, devices: Sequence[str], expiries_s: Sequence[int], ids: Sequence[int], write_packets: PacketWriter
    ) -> bool:
        """Send the packets that ``write_packets`` writes for ``devices``, as the messages ``ids`` (none: QoS 0).

        Each message expires after its ``expiries_s``. Return False if nothing was written.
        """
        session = self._session
        packets = write_packets(expiries_s if session.has_properties else (), ids)
        if packets is None:
            return False
        batch = None
        if ids:
            copied = WrittenRows(memoryview(bytes(packets.content)), packets.bounds.copy())
            batch = SentBatch(ids, partial(self._messages_of, copied, devices, expiries_s, session.expires_s(0)))
        session.send_packets(packets.content, batch)
        return True

    def _messages_of(
        self, packets: WrittenRows, devices: Sequence[str], expiries_s: Sequence[int], sent_s: float
    ) -> Iterator[Outgoing]:
        """Yield the messages of ``packets``, which were sent at ``sent_s``, for sending them again."""
        for device, (begin, end), expiry_s in zip(devices, packets.bounds.tolist(), expiries_s, strict=True):
            payload = bytes(packets.content[begin:end])
            yield Outgoing(self.topic_of(device), payload, self._retain, sent_s + expiry_s)
