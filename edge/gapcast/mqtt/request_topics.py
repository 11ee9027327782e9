"""Topics beside the readings': a request for a forecast, and its answer where MQTT 5 says that one is wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gapcast.core.errors import PayloadError
from gapcast.mqtt.frames import Publication
from gapcast.mqtt.properties import content_type, passed_on, response_topic_in
from gapcast.mqtt.session import Session

#: Requests that may wait: each is at most 64 kB, and takes at most some milliseconds of the stream's own thread.
MAX_WAITING = 64
#: A reader that was away for longer does not want the answer any more.
ANSWER_EXPIRY_S = 60


def _is_no_topic(name: str) -> bool:
    return not name.isprintable() or bool({"+", "#"} & set(name))


class RequestTopic(Protocol):
    """A topic beside the readings', heard in the stream's own thread."""

    def hear(self, publication: Publication) -> None:
        """Take a message; raise :class:`PayloadError` where it cannot be used."""
        ...

    def work(self) -> bool:
        """Do a bounded part of what was heard; tell whether there is more to do."""
        ...


class PredictRequests:
    """Answers requests one at a turn of the service, so that readings wait for no more than one of them."""

    def __init__(self, session: Session, answers: str, answer: Callable[[bytes, int], tuple[bytes, str]]) -> None:
        """Publish what ``answer(body, n_bytes)`` returns, a document and its type, on topics below ``answers``."""
        self._session = session
        self._answers = answers
        self._answer = answer
        self._waiting: deque[tuple[str, Publication]] = deque()

    def hear(self, publication: Publication) -> None:
        """Take a request; raise :class:`PayloadError` where no one could be told the answer."""
        if publication.retained:
            raise PayloadError("bad_request", "the request was retained, and may be of any age: do not retain it")
        topic = response_topic_in(publication.properties)
        if topic is None:
            raise PayloadError("bad_request", "the request has no response topic (MQTT 5): there is no one to answer")
        if not topic.startswith(self._answers) or topic == self._answers or _is_no_topic(topic):
            cure = f"choose one below {self._answers} (topics.answers)"
            raise PayloadError("bad_request", f"the response topic {topic[:80]!r} may not be written: {cure}")
        if len(self._waiting) >= MAX_WAITING:
            raise PayloadError("too_many_requests", f"{MAX_WAITING} requests wait already: ask again later")
        self._waiting.append((topic, publication))

    def work(self) -> bool:
        """Answer the request that has waited longest; tell whether another waits."""
        if self._waiting:
            topic, request = self._waiting.popleft()
            document, media_type = self._answer(request.payload, request.n_bytes)
            extra = content_type(media_type) + passed_on(request.properties)
            self._session.publish(topic.encode(), document, expiry_s=ANSWER_EXPIRY_S, extra=extra)
        return bool(self._waiting)
