"""The rejected topic: what could not be used and why, as much of it as there is budget for."""

from __future__ import annotations

import time

import structlog

from gapcast.core.budget import Budget
from gapcast.core.errors import PayloadError
from gapcast.core.statistics import Statistics
from gapcast.mqtt.payloads import OWN_ECHO, encode_rejection, is_rejection
from gapcast.mqtt.session import Session

log = structlog.get_logger(__name__)


class Rejections:
    """Tells of ``per_s`` a second; the others are counted, and their number told with the next one that is."""

    def __init__(self, session: Session, topic: str, per_s: float, statistics: Statistics) -> None:
        self._session = session
        self._topic = topic.encode()
        self._statistics = statistics
        self._budget = Budget(per_s, time.monotonic())

    def tell(self, topic: str, payload: bytes, problem: PayloadError) -> None:
        """Say what was wrong with a message on ``topic``; not of a rejection that was copied back: it would loop."""
        if problem.reason == OWN_ECHO:
            log.warning("source.own_echo", topic=topic, problem=problem.detail)
            if is_rejection(payload):
                return
        if not self._budget.spend(time.monotonic()):
            self._statistics.n_rejections_omitted += 1
            return
        text = encode_rejection(topic, payload, problem.reason, problem.detail, self._budget.take_omitted())
        self._session.publish(self._topic, text)
