"""The topics that a replay publishes submeters on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.mqtt.topics import DeviceTopic

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
