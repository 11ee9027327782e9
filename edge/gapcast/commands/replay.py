"""``gapcast replay``: publishes a file with a progress bar."""

from __future__ import annotations

from itertools import chain, dropwhile, islice
from pathlib import Path
from threading import Event

from tqdm import tqdm

from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.reading import Limits, is_device_id
from gapcast.mqtt.topics import DeviceTopic
from gapcast.mqtt.transport import Transport
from gapcast.replay.publisher import MeterPublisher
from gapcast.replay.publisher import replay as publish_paced
from gapcast.replay.source import CsvColumns, Unit, minute_at, read_minutes


def replay_file(
    settings: Settings,
    file: Path,
    device: str,
    speed: float | None,
    stopping: Event,
    *,
    transport: Transport,
    start: str | None,
    limit: int | None,
    time_column: str | None,
    value_column: str | None,
    unit: Unit,
) -> int:
    """Publish ``file`` to the configured broker, over ``transport``, as ``device``; return the number of readings.

    Raises :class:`SourceError` for an invalid file, :class:`BrokerError` for a broker that cannot be used and
    :class:`SettingsError` for an invalid name or start.
    """
    if not is_device_id(device):
        msg = f"--device {device!r} cannot name a device: use 1 to 64 of A-Z a-z 0-9 _ - ."
        raise SettingsError(msg)
    limits = Limits(settings.limits.min_kw, settings.limits.max_kw)
    minutes = read_minutes(file, CsvColumns(time_column, value_column, unit), limits)
    first_minute = None if start is None else minute_at("--start", start)
    if first_minute is not None:
        minutes = dropwhile(lambda minute: minute.minute < first_minute, minutes)
    first = next(minutes, None)  # report an invalid file before connecting to the broker
    if first is None:
        raise SourceError(file, None, "holds no reading" if start is None else f"holds no reading from {start} on")
    mqtt = settings.mqtt
    password = mqtt.password.get_secret_value() if mqtt.password else None
    account = None if mqtt.username is None else (mqtt.username, password)
    topic = DeviceTopic.parse("topics.reading", settings.topics.reading).of(device)
    with MeterPublisher(mqtt.host, mqtt.port, topic, account, stopping, transport) as meter:
        # disable=None: show the bar on a terminal only; in a log it would be one line per reading.
        shown = tqdm(islice(chain([first], minutes), limit), total=limit, unit=" readings", desc=device, disable=None)
        return publish_paced(shown, meter.publish, speed, stopping)
