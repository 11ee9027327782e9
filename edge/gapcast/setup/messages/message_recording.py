"""Recorded messages, which can be decoded repeatedly with different configurations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gapcast.config.sections.mqtt import TopicSettings
from gapcast.core.documents.wording import counted
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast.mqtt.session.received_messages import ReceivedMessage

#: Maximum number of messages per topic, and of topics.
_MAX_PER_TOPIC, _MAX_TOPICS = 16, 5_000
_DEVICE_TOPIC = "gap/{device}"
#: The ends of the topics of a device that gapcast publishes, or reads commands from, unless they are configured.
_OWN_SUFFIXES = tuple(
    str(field.default).removeprefix(_DEVICE_TOPIC)
    for name, field in TopicSettings.model_fields.items()
    if str(field.default).startswith(f"{_DEVICE_TOPIC}/") and name != "reading"
)


def _may_hold_readings(topic: str) -> bool:
    levels = topic.split("/")
    is_own = levels[0] == "gapcast" or (levels[0] == "gap" and topic.endswith(_OWN_SUFFIXES))
    return not (is_own or levels[-1] == "config" or topic.startswith("$"))


@dataclass(slots=True)
class MessageRecording:
    """The most recent messages of each topic."""

    n_messages: int = 0
    #: Whether there was any message below ``homeassistant/``.
    home_assistant: bool = False
    of_topic: dict[str, deque[ReceivedMessage]] = field(default_factory=dict)

    def add(self, received: ReceivedMessage) -> None:
        """Record one message if a meter may have sent it."""
        publication = received.publication
        self.n_messages += 1
        self.home_assistant = self.home_assistant or publication.topic.startswith("homeassistant/")
        if not _may_hold_readings(publication.topic) or publication.n_bytes > MAX_PAYLOAD:
            return
        if publication.topic not in self.of_topic and len(self.of_topic) >= _MAX_TOPICS:
            return
        self.of_topic.setdefault(publication.topic, deque(maxlen=_MAX_PER_TOPIC)).append(received)

    @property
    def summary(self) -> str:
        """The number of messages and topics, as text."""
        n_messages = counted(self.n_messages, "message")
        if self.n_messages and not self.of_topic:
            return f"{n_messages}, none of a meter"
        return f"{n_messages} on {counted(len(self.of_topic), 'topic')}"

    def in_order(self) -> Iterator[ReceivedMessage]:
        """Yield the recorded messages in order of arrival."""
        recorded = (received for messages in self.of_topic.values() for received in messages)
        yield from sorted(recorded, key=lambda received: received.received_s)

    def on(self, is_included: Callable[[str], bool]) -> MessageRecording:
        """Return the recorded messages of the topics for which ``is_included`` is true."""
        of_topic = {topic: messages for topic, messages in self.of_topic.items() if is_included(topic)}
        return MessageRecording(sum(map(len, of_topic.values())), self.home_assistant, of_topic)
