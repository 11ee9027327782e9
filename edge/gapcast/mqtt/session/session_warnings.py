"""Warnings about lost messages, each at most once per connection, because any message may cause one."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from gapcast.mqtt.connection.broker_problem import broker_reason
from gapcast.mqtt.packets.frames import REFUSED_FROM, Acknowledgement

log = structlog.get_logger(__name__)


class SessionWarnings:
    """Logs the first loss of each kind in a connection."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def reset(self) -> None:
        """Begin a new connection: each kind of loss is logged again."""
        self._logged.clear()

    def messages_dropped(self) -> None:
        """Log that received messages were dropped, because too many were queued."""
        self._warn_once(
            "mqtt.messages_dropped",
            fix="QoS 0 messages arrive faster than they are processed and some are dropped: use QoS 1",
        )

    def check_reasons(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Log if one of the ``acknowledgements``, at least one, reports that the broker refused a message."""
        reason = max([acknowledgement.reason for acknowledgement in acknowledgements])
        if reason >= REFUSED_FROM:
            self._warn_once(
                "mqtt.publish_refused",
                reason=_name_of(reason),
                fix="check this account's write permissions; docs/mosquitto/gapcast.acl has all topics",
            )

    def message_too_long(self, topic: bytes, n_bytes: int, max_bytes: int) -> None:
        """Log that a message on ``topic`` is not published: its ``n_bytes`` are more than the broker accepts."""
        self._warn_once(
            "mqtt.message_too_long",
            topic=topic.decode(),
            n_bytes=n_bytes,
            max_bytes=max_bytes,
            fix="raise the broker's limit on the length of packets",
        )

    def _warn_once(self, event: str, **details: str | int) -> None:
        if event not in self._logged:
            self._logged.add(event)
            log.warning(event, **details)


def _name_of(reason: int) -> str:
    """Return the name of the ``reason`` of a PUBACK; one that the standard does not define as a number.

    >>> _name_of(0x87), _name_of(0xFF)
    ('Not authorized', '0xff')
    """
    try:
        return broker_reason(ReasonCode(PacketTypes.PUBACK, identifier=reason))
    except (KeyError, ValueError):
        return hex(reason)
