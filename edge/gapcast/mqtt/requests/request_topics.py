"""Request topics: a request for a forecast or a headroom, answered on its MQTT 5 response topic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gapcast.core.errors import PayloadError
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.packets.properties import content_type, forwarded_properties, response_topic_in
from gapcast.mqtt.session.session import Session

#: Maximum number of waiting requests: each is at most 64 kB and takes at most a few milliseconds of the stream's
#: thread.
MAX_WAITING = 64
#: Clients that were offline for longer no longer need the answer: whether a load may be drawn concerns the present.
ANSWER_EXPIRY_S = 60


def _is_invalid_topic(name: str) -> bool:
    return not name.isprintable() or bool({"+", "#"} & set(name))


class RequestTopic(Protocol):
    """Handles the messages of a topic without readings, in the stream's thread."""

    def receive(self, publication: Publication) -> None:
        """Queue a message; raise :class:`PayloadError` if it cannot be used."""
        ...

    def process_pending(self) -> bool:
        """Process a bounded part of the queue; return whether more is left."""
        ...


class PredictRequests:
    """Answers one request per iteration of the service, so that readings wait for at most one of them."""

    def __init__(self, session: Session, answers: str, answer: Callable[[bytes, int], tuple[bytes, str]]) -> None:
        """Publish the document and media type that ``answer(body, n_bytes)`` returns on topics below ``answers``."""
        self._session = session
        self._answers = answers
        self._answer = answer
        self._waiting: deque[tuple[str, Publication]] = deque()

    def receive(self, publication: Publication) -> None:
        """Queue a request; raise :class:`PayloadError` if it is retained or has no permitted response topic."""
        if publication.retained:
            raise PayloadError("bad_request", "the request was retained, so its age is unknown: do not retain it")
        topic = response_topic_in(publication.properties)
        if topic is None:
            raise PayloadError("bad_request", "the request has no response topic: set the MQTT 5 property")
        if not topic.startswith(self._answers) or topic == self._answers or _is_invalid_topic(topic):
            fix = f"choose one below {self._answers} (topics.answers)"
            raise PayloadError("bad_request", f"the response topic {topic[:80]!r} is not allowed: {fix}")
        if len(self._waiting) >= MAX_WAITING:
            raise PayloadError("too_many_requests", f"too many pending requests ({MAX_WAITING}): retry later")
        self._waiting.append((topic, publication))

    def process_pending(self) -> bool:
        """Answer the oldest waiting request; return whether another waits."""
        if self._waiting:
            topic, request = self._waiting.popleft()
            document, media_type = self._answer(request.payload, request.n_bytes)
            extra = content_type(media_type) + forwarded_properties(request.properties)
            self._session.publish(
                topic.encode(), document, expiry_s=ANSWER_EXPIRY_S, extra=extra, is_dropped_expired=True
            )
        return bool(self._waiting)
