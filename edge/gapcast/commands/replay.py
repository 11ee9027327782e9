"""``gapcast replay``: publishes a file with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tqdm import tqdm

from gapcast.backtest.houses import HouseFile, minutes_of
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError
from gapcast.core.reading import Limits, is_device_id
from gapcast.mqtt.topics import DeviceTopic
from gapcast.mqtt.transport import Transport
from gapcast.recordings.layout import FileFormat
from gapcast.recordings.recording import read_recording
from gapcast.replay.publisher import MeterPublisher
from gapcast.replay.publisher import replay as publish_paced


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """The file of a replay, how it is read, and the part of it."""

    file: Path
    form: FileFormat
    part: HouseFile


def replay_file(
    settings: Settings,
    source: ReplaySource,
    device: str,
    speed: float | None,
    stopping: Event,
    *,
    transport: Transport,
    show: Callable[[str], object],
) -> int:
    """Publish the minutes of ``source`` to the configured broker, as ``device``; return the number of readings.

    ``show`` is called with what was understood of the file. Raises
    :class:`~gapcast.core.errors.SourceError` for an invalid file, :class:`~gapcast.core.errors.BrokerError` for a
    broker that cannot be used and :class:`SettingsError` for an invalid name or start.
    """
    if not is_device_id(device):
        msg = f"--device {device!r} cannot name a device: use 1 to 64 of A-Z a-z 0-9 _ - ."
        raise SettingsError(msg)
    limits, part = Limits(settings.limits.min_kw, settings.limits.max_kw), source.part
    recording = read_recording(source.file, source.form, limits, progress=sys.stderr.isatty())
    minutes = minutes_of(recording, part)
    mqtt = settings.mqtt
    password = mqtt.password.get_secret_value() if mqtt.password else None
    account = None if mqtt.username is None else (mqtt.username, password)
    topic = DeviceTopic.parse("topics.reading", settings.topics.reading).of(device)
    answers = DeviceTopic.parse("topics.forecast", settings.topics.forecast).of(device)
    with MeterPublisher(mqtt.host, mqtt.port, topic, account, stopping, transport) as meter:
        for line in recording.lines(part.zone):
            show(line)
        if speed is None:
            meter.follow(answers)
        # disable=None: show the bar on a terminal only; in a log it would be one line per reading.
        shown = tqdm(minutes, total=part.limit, unit=" readings", desc=device, disable=None)
        return publish_paced(shown, meter.publish, speed, stopping)
