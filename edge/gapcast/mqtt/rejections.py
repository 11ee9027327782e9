"""The rejected topic: publishes messages that cannot be used, with the reason, up to a rate limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from gapcast.core.errors import PayloadError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.monitoring.token_bucket import TokenBucket
from gapcast.mqtt.payloads import OWN_ECHO, encode_rejection, is_rejection
from gapcast.mqtt.topics import SHOWN_TOPIC_CHARS

log = structlog.get_logger(__name__)

#: Log lines per reason and kind (reading or command): one an hour.
_LINES_PER_S, _LINES_AT_ONCE = 1 / 3_600, 1.0


class MessagePublisher(Protocol):
    """Publishes messages: the session."""

    def publish(self, topic: bytes, payload: bytes) -> int:
        """Send ``payload`` on ``topic``; return its message id."""
        ...


class Rejections:
    """Publishes up to ``per_s`` rejections a second; the next one reports how many were omitted.

    Logs one rejected reading and one rejected command per reason and hour, with the number of rejections since the last
    line.
    """

    def __init__(
        self,
        session: MessagePublisher,
        topic: str,
        per_s: float,
        statistics: Statistics,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._clock_s = clock_s
        self._topic = topic.encode()
        self._statistics = statistics
        self._bucket = TokenBucket(per_s, clock_s())
        self._lines: dict[tuple[str, bool], TokenBucket] = {}  # by reason, and whether it is a command

    def publish(self, topic: str, payload: bytes, problem: PayloadError, *, is_command: bool = False) -> None:
        """Publish the problem with a message on ``topic``, unless it is itself a rejection, which would loop.

        ``is_command``: the message is a command or a request instead of a reading.
        """
        if is_command:
            self._statistics.n_commands_rejected += 1
        else:
            self._statistics.last_rejection = problem.detail
        if problem.reason == OWN_ECHO:
            log.warning("source.own_echo", topic=topic[:SHOWN_TOPIC_CHARS], problem=problem.detail)
            if is_rejection(payload):
                return
        else:
            self._log(topic, problem, is_command=is_command)
        if not self._bucket.try_consume(self._clock_s()):
            self._statistics.n_rejections_omitted += 1
            return
        text = encode_rejection(topic, payload, problem.reason, problem.detail, self._bucket.pop_suppressed_count())
        self._session.publish(self._topic, text)

    def _log(self, topic: str, problem: PayloadError, *, is_command: bool) -> None:
        now_s, reason = self._clock_s(), problem.reason
        lines = self._lines.get((reason, is_command))
        if lines is None:
            self._lines[reason, is_command] = lines = TokenBucket(_LINES_PER_S, now_s, _LINES_AT_ONCE)
        if lines.try_consume(now_s):
            n_rejected = 1 + lines.pop_suppressed_count()
            log.warning(
                "messages.rejected",
                reason=reason,
                n_rejected=n_rejected,
                topic=topic[:SHOWN_TOPIC_CHARS],
                problem=problem.detail,
            )
