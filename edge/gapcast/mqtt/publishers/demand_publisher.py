"""Publishes demands: their document, the headroom and the allowed power as numbers, and the message expiry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import numpy as np

from gapcast.core.demand.demand import VALID_MIN, Demands, is_late
from gapcast.core.demand.documents.demand_json import DemandEncoder
from gapcast.core.demand.documents.demand_messages import N_MESSAGES, DemandMessages, DemandPackets, WrittenDemands
from gapcast.core.demand.documents.max_power import headrooms_w, max_powers_w
from gapcast.core.time_grid import MINUTE_MS
from gapcast.mqtt.connection.delivery import Outgoing, SentBatch
from gapcast.mqtt.packets.frames import PUBLISH, RETAIN
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.topics import DemandTopics

_S_PER_MIN = 60
#: Number of devices whose topics are cached.
_N_REMEMBERED = 1_024


class DemandPublisher:
    """Publishes demands batch by batch. Nothing waits for a confirmation: the next demand follows in a minute."""

    def __init__(self, session: Session, topics: DemandTopics, *, retain: bool) -> None:
        """Publish over ``session`` on each device's topics."""
        self._session = session
        #: Returns the topics of a device: document, headroom and allowed power.
        self._topics_of = lru_cache(_N_REMEMBERED)(partial(_topics_of, topics))
        self._retain = retain
        self._encoder = DemandEncoder()
        patterns = topics.demand, topics.headroom_w, topics.max_power_w
        of_topics = [(one.before.encode(), one.after.encode()) for one in patterns]
        packets = DemandPackets(of_topics, PUBLISH | (retain and RETAIN), PUBLISH)
        self._messages = DemandMessages.create_if_available(packets)

    def publish(self, demands: Demands) -> None:
        """Send each demand, and its headroom and allowed power in W as numbers, which expire at ``valid_until``.

        Nothing is sent while the broker is disconnected or confirms no messages: demands must not displace forecasts,
        and an old number must not arrive late. Numbers contain no time, so they are never retained, and are dropped if
        they expire before the broker confirms them, instead of being sent again. The numbers of a late reading, whose
        demand is no longer valid, are not sent either.
        """
        session = self._session
        if not session.is_open or session.is_backlogged:
            return
        ids = None if self._messages is None else session.next_ids(N_MESSAGES * len(demands))
        if self._messages is None or ids is None or not self._publish_at_once(self._messages, demands, ids):
            self._publish_each(demands)

    def _publish_at_once(self, writer: DemandMessages, demands: Demands, ids: Sequence[int]) -> bool:
        """Send all ``demands`` in one piece, as messages with ``ids`` (none: QoS 0); return whether they were sent."""
        session = self._session
        written = writer.write(demands, has_properties=session.has_properties, packet_ids=ids)
        if written is None:
            return False
        batch = None
        if ids:
            copied = WrittenDemands(memoryview(bytes(written.content)), written.bounds.copy())
            n_sent = int(np.count_nonzero(copied.bounds[..., 1]))
            batch = SentBatch(ids[:n_sent], partial(self._messages_of, copied, demands, session.expires_s(0)))
        session.send_packets(written.content, batch)
        return True

    def _messages_of(self, written: WrittenDemands, demands: Demands, sent_s: float) -> Iterator[Outgoing]:
        """Yield the messages of ``demands``, which were sent at ``sent_s``, for sending them again."""
        now_min = demands.issued_at_ms / MINUTE_MS
        columns = demands.devices, demands.valid_until_minutes.tolist(), written.bounds.tolist()
        for device, until, bounds in zip(*columns, strict=True):
            expires_s, retain = sent_s + _expiry_of(until - now_min), self._retain
            is_number = False
            for topic, (begin, end) in zip(self._topics_of(device), bounds, strict=True):
                if end:
                    payload = bytes(written.content[begin:end])
                    yield Outgoing(topic, payload, retain, expires_s, is_dropped_expired=is_number)
                retain, is_number = False, True

    def _publish_each(self, demands: Demands) -> None:
        """Send each message separately."""
        publish, retain, now_min = self._session.publish, self._retain, demands.issued_at_ms / MINUTE_MS
        powers_w = headrooms_w(demands), max_powers_w(demands)
        columns = self._encoder.encode(demands), demands.devices, demands.valid_until_minutes.tolist(), *powers_w
        for document, device, until, headroom_w, power_w in zip(*columns, strict=True):
            left_min = until - now_min
            expiry_s = _expiry_of(left_min)
            of_demand, of_headroom, of_power = self._topics_of(device)
            publish(of_demand, document, retain=retain, expiry_s=expiry_s)
            if is_late(left_min):
                continue
            publish(of_headroom, b"%d" % headroom_w, retain=False, expiry_s=expiry_s, is_dropped_expired=True)
            publish(of_power, b"%d" % power_w, retain=False, expiry_s=expiry_s, is_dropped_expired=True)


def _topics_of(topics: DemandTopics, device: str) -> tuple[bytes, bytes, bytes]:
    """Return the topics of document, headroom and allowed power of ``device``."""
    return (
        topics.demand.for_device(device).encode(),
        topics.headroom_w.for_device(device).encode(),
        topics.max_power_w.for_device(device).encode(),
    )


def _expiry_of(left_min: float) -> int:
    """Return the message expiry, s, of a demand that is valid for ``left_min`` more minutes.

    A demand of an old reading, as in a replay, or of a meter whose clock is ahead, expires after :data:`VALID_MIN`
    minutes.

    >>> _expiry_of(3.5), _expiry_of(0.001), _expiry_of(-9_000), _expiry_of(90)
    (210, 1, 300, 300)
    """
    is_live = 0 < left_min <= VALID_MIN
    return int(left_min * _S_PER_MIN) or 1 if is_live else VALID_MIN * _S_PER_MIN
