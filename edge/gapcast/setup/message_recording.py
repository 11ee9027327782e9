"""What was heard, so that it can be read again by one configuration and the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from gapcast.mqtt.frames import MAX_PAYLOAD
from gapcast.mqtt.session import Received

#: Of each topic so many messages are kept, and so many topics.
_MAX_OF_TOPIC, _MAX_TOPICS = 16, 5_000
#: What gapcast itself says, and what announces entities to Home Assistant: no meter's readings.
_OWN_ENDS = frozenset({"forecast", "scores", "availability"})


def _is_meters(topic: str) -> bool:
    levels = topic.split("/")
    ours = levels[0] == "gapcast" or (levels[0] == "gap" and levels[-1] in _OWN_ENDS)
    return not (ours or levels[-1] == "config" or topic.startswith("$"))


@dataclass(slots=True)
class MessageRecording:
    """The last messages of each topic."""

    n_messages: int = 0
    #: Whether anything was said below ``homeassistant/``.
    home_assistant: bool = False
    of_topic: dict[str, deque[Received]] = field(default_factory=dict)

    def add(self, received: Received) -> None:
        """Keep one message, where a meter may have sent it."""
        publication = received.publication
        self.n_messages += 1
        self.home_assistant = self.home_assistant or publication.topic.startswith("homeassistant/")
        if not _is_meters(publication.topic) or publication.n_bytes > MAX_PAYLOAD:
            return
        if publication.topic not in self.of_topic and len(self.of_topic) >= _MAX_TOPICS:
            return
        self.of_topic.setdefault(publication.topic, deque(maxlen=_MAX_OF_TOPIC)).append(received)

    @property
    def summary(self) -> str:
        """How much came, for people."""
        n_topics = len(self.of_topic)
        return f"{self.n_messages} message{'s' * (self.n_messages != 1)} on {n_topics} topic{'s' * (n_topics != 1)}"

    def in_order(self) -> Iterator[Received]:
        """Yield what was kept in the order that it came."""
        kept = (received for messages in self.of_topic.values() for received in messages)
        yield from sorted(kept, key=lambda received: received.received_s)

    def every_s(self, topic: str) -> float | None:
        """Return the usual distance of two messages of ``topic``, s; None where too few came to tell."""
        times_s = [one.received_s for one in self.of_topic.get(topic, ()) if not one.publication.retained]
        distances_s = [later - earlier for earlier, later in pairwise(times_s)]
        return median(distances_s) if len(distances_s) > 1 else None
