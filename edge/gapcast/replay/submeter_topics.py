"""The topics that a replay publishes submeters on, and whether a gateway reads them there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence

from gapcast.check.sample_listener import SampleListener
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.grid import MINUTE_MS
from gapcast.mqtt.frames import Publication
from gapcast.mqtt.session import ReceivedMessage
from gapcast.mqtt.topics import DeviceTopic
from gapcast.recordings.recording import Minute
from gapcast.replay.publisher import payload_of

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,48}")


def submeter_topics(settings: Settings, device: str, names: Sequence[str]) -> dict[str, str]:
    """Return the topic of each of the submeters ``names`` of ``device``: as configured, else below the reading's.

    The default is the topic of the device's readings and the name, ``gap/home/reading/kettle``. Raises
    :class:`SettingsError` for a name that no configured submeter can have.
    """
    configured = {one.name: one.topic for one in settings.submeters if one.of == device}
    topic = DeviceTopic.parse("topics.reading", settings.topics.reading).of(device)
    for name in names:
        if _NAME.fullmatch(name) is None:
            msg = f"--submeter-column {name!r} cannot name a submeter: use 1 to 48 of A-Z a-z 0-9 _ - . in the column"
            raise SettingsError(msg)
    return {name: configured.get(name, f"{topic}/{name}") for name in names}


def unread_submeters(settings: Settings, device: str, topics: Mapping[str, str]) -> Iterator[str]:
    """Yield why a gateway with ``settings`` does not read a submeter that is published on its topic, and the fix.

    ``topics`` are those of the submeters of ``device`` by name.
    """
    now_ms = time.time_ns() // 1_000_000
    payload = payload_of(Minute(now_ms // MINUTE_MS - 1, 1.0))
    for name, topic in topics.items():
        fix = f'[[submeters]] with of = "{device}", name = "{name}", preset = "gapcast" and topic = "{topic}"'
        if not any((one.of, one.name) == (device, name) for one in settings.submeters):
            yield f"a gateway with this configuration does not read the submeter {name}: add {fix}"
            continue
        listener = SampleListener(settings)
        publication = Publication(topic, payload, 0, False, False, b"", len(payload))
        listener.receive(ReceivedMessage(publication, time.perf_counter(), now_ms))
        if [kw for samples in listener.devices.values() for kw in samples.powers_kw] != [1.0]:
            yield f"the submeter {name} is not read as it is published: configure {fix} for a replay"
