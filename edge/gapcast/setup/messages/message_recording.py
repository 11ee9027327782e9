"""Recorded messages of meters, which can be decoded repeatedly with different configurations."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gapcast.config.sections.mqtt import TopicSettings
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import SettingsError
from gapcast.core.meters.values import parse_sum
from gapcast.mqtt.packets.frames import MAX_PAYLOAD
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.session.session import Session
from gapcast.mqtt.sources.source_topics import PART, is_own_entity
from gapcast.setup.messages.number_fields import power_paths, preset_paths
from gapcast.setup.prompts import Prompts
from gapcast.setup.topics import state_of_unit

#: Maximum number of messages of a topic with the same powers, of groups with different powers, and of topics.
_MAX_PER_GROUP, _MAX_GROUPS, _MAX_TOPICS = 16, 16, 5_000
_DEVICE_TOPIC = "gap/{device}"
#: Last levels of topics on which gapcast publishes, or reads commands, unless they are configured.
_OWN_SUFFIXES = tuple(
    str(field.default).removeprefix(_DEVICE_TOPIC)
    for name, field in TopicSettings.model_fields.items()
    if str(field.default).startswith(f"{_DEVICE_TOPIC}/") and name != "reading"
)
#: Maximum number of messages to record.
_MAX_MESSAGES = 50_000
_PROGRESS_EVERY_S = 1.0
#: Pause between two checks, as a multiple of a check's duration, which leaves time to read messages promptly.
_PAUSE_FACTOR = 4


def _may_hold_readings(topic: str) -> bool:
    levels = topic.split("/")
    is_own = levels[0] == "gapcast" or (levels[0] == "gap" and topic.endswith(_OWN_SUFFIXES))
    is_of_bridge = levels[:2] == ["zigbee2mqtt", "bridge"]
    return not (is_own or is_of_bridge or is_own_entity(topic) or levels[-1] == "config" or topic.startswith("$"))


class TopicMessages:
    """The most recent messages of a topic; a message is not displaced by messages with other powers, or without any."""

    def __init__(self) -> None:
        #: By the paths of the powers in the messages, the group with the newest message last.
        self._groups: dict[frozenset[str], deque[ReceivedMessage]] = {}
        #: When the first message arrived, s; infinite if there is none.
        self.first_s = math.inf

    def __iter__(self) -> Iterator[ReceivedMessage]:
        """Iterate over the messages, of each group in order of arrival."""
        return (received for group in self._groups.values() for received in group)

    def __len__(self) -> int:
        """Return the number of messages."""
        return sum(map(len, self._groups.values()))

    @property
    def newest(self) -> ReceivedMessage:
        """The message that arrived last."""
        return next(reversed(self._groups.values()))[-1]

    def add(self, received: ReceivedMessage) -> None:
        """Add a message, replacing the oldest one with the same powers if there are too many of these."""
        self.first_s = min(self.first_s, received.received_s)
        powers = power_paths(received.publication.topic, received.publication.payload)
        group = self._groups.pop(powers, None) or deque(maxlen=_MAX_PER_GROUP)
        group.append(received)
        self._groups[powers] = group
        if len(self._groups) > _MAX_GROUPS:
            others = (one for one in self._groups if one.isdisjoint(preset_paths()))
            del self._groups[next(others, next(iter(self._groups)))]


@dataclass(slots=True)
class MessageRecording:
    """The most recent messages of each topic."""

    n_messages: int = 0
    #: Whether there was any message below ``homeassistant/``.
    home_assistant: bool = False
    of_topic: dict[str, TopicMessages] = field(default_factory=dict)
    #: The units that Home Assistant's statestream sends beside states, by the topic of the state.
    units: dict[str, str] = field(default_factory=dict)

    def add(self, received: ReceivedMessage) -> None:
        """Record one message if a meter may have sent it."""
        publication = received.publication
        self.n_messages += 1
        self.home_assistant = self.home_assistant or publication.topic.startswith("homeassistant/")
        if not _may_hold_readings(publication.topic) or publication.n_bytes > MAX_PAYLOAD:
            return
        if publication.topic not in self.of_topic and len(self.of_topic) >= _MAX_TOPICS:
            return
        self.of_topic.setdefault(publication.topic, TopicMessages()).add(received)
        if (state := state_of_unit(publication.topic)) is not None:
            self.units[state] = publication.payload.decode("utf-8", "replace").strip(' "')

    @property
    def summary(self) -> str:
        """The number of messages and topics, as text."""
        n_messages = counted(self.n_messages, "message")
        if self.n_messages and not self.of_topic:
            return f"{n_messages}, none of a meter"
        return f"{n_messages} on {counted(len(self.of_topic), 'topic')}"

    def stated_unit(self, topic: str, value: str | None = None) -> str | None:
        """Return the unit that Home Assistant's statestream sends beside a state, None if it sends none.

        With a ``{part}`` in ``topic``, return the unit of all states in the sum ``value``. Raises
        :class:`SettingsError` if their units differ.
        """
        topics = [topic] if value is None else [topic.replace(PART, term.path) for term in parse_sum(value)]
        units = {self.units.get(one) for one in topics}
        if len(stated := sorted(one for one in units if one is not None)) > 1:
            msg = f"--value {value}: in {' and '.join(stated)}, but gapcast adds up only values in one unit"
            raise SettingsError(msg)
        return units.pop() if len(units) == 1 else None

    def payloads(self, topic: str) -> list[bytes]:
        """Return the recorded payloads of ``topic``, of each group of messages in order of arrival."""
        return [received.publication.payload for received in self.of_topic.get(topic, ())]

    def in_order(self) -> Iterator[ReceivedMessage]:
        """Yield the recorded messages in order of arrival."""
        recorded = (received for messages in self.of_topic.values() for received in messages)
        yield from sorted(recorded, key=lambda received: received.received_s)

    def on(self, is_included: Callable[[str], bool]) -> MessageRecording:
        """Return the recorded messages of the topics for which ``is_included`` is true, and all stated units."""
        of_topic = {topic: messages for topic, messages in self.of_topic.items() if is_included(topic)}
        return MessageRecording(sum(map(len, of_topic.values())), self.home_assistant, of_topic, self.units)


def listen(
    session: Session,
    wait_s: float,
    prompts: Prompts,
    progress: Callable[[str], None],
    is_sufficient: Callable[[MessageRecording, float], bool],
) -> MessageRecording:
    """Record messages for at most ``wait_s``: until the user presses Enter or, unattended, ``is_sufficient``.

    ``is_sufficient`` is called with the messages so far and the time (``time.perf_counter``), after new messages and
    every second.
    """
    recording = MessageRecording()
    deadline_s, shown_s = time.monotonic() + wait_s, 0.0
    next_check_s, n_checked = 0.0, 0
    while (left_s := deadline_s - time.monotonic()) > 0 and recording.n_messages < _MAX_MESSAGES:
        taken = session.receive_messages(256, min(left_s, 0.25))
        for received in taken:
            recording.add(received)
            session.acknowledge_after(received.publication, 0)
        session.flush()
        if prompts.wants_to_stop():
            break
        if not prompts.is_interactive and recording.n_messages > n_checked and time.monotonic() >= next_check_s:
            began_s, n_checked = time.monotonic(), recording.n_messages
            if is_sufficient(recording, time.perf_counter()):
                break
            next_check_s = time.monotonic() + _PAUSE_FACTOR * (time.monotonic() - began_s)
        if time.monotonic() - shown_s > _PROGRESS_EVERY_S:
            shown_s, n_checked = time.monotonic(), 0
            progress(f"{recording.summary}; {left_s:.0f} s left")
    return recording
