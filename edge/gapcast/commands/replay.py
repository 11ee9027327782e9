"""``gapcast replay``: publishes a file with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from threading import Event

from tqdm import tqdm

from gapcast.app.broker.broker import sources_of
from gapcast.backtest.inputs.houses import FilePart, minutes_of
from gapcast.check.sample_listener import SampleListener
from gapcast.config.settings import Settings
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import SettingsError
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.core.readings.submeters import measured_name
from gapcast.core.time_grid import DAY_MIN, MINUTE_MS, local_label
from gapcast.mqtt.connection.transport import Transport
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.topics import DeviceTopic
from gapcast.recordings.recording import Minute, read_recording
from gapcast.recordings.text.layout import FileFormat
from gapcast.replay.present_time import replay_to_present, shift_to_present
from gapcast.replay.publisher import MeterPublisher, payload_of, submeter_topics
from gapcast.replay.publisher import replay as publish_paced

#: A replay that takes longer gets a hint, minutes.
_LONG_MIN = 90


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """The file of a replay, its format, and the part to publish; ``is_present``: moved to the present."""

    file: Path
    form: FileFormat
    part: FilePart
    is_present: bool = False


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

    A submeter's minutes are published before the device's. ``show`` is called with a description of the file, and with
    a warning if a gateway with these settings does not read what is published. Raises
    :class:`~gapcast.core.errors.SourceError` for an invalid file, :class:`~gapcast.core.errors.BrokerError` for a
    broker that cannot be used and :class:`SettingsError` for an invalid name or start.
    """
    if not is_device_id(device):
        msg = f"--device: {device_id_problem(device)}"
        raise SettingsError(msg)
    limits, part = settings.reading_limits, source.part
    recording = read_recording(source.file, source.form, limits, progress=sys.stderr.isatty())
    minutes = minutes_of(recording, part)
    now_minute = int(time.time()) // 60
    shift_min = shift_to_present(*minutes.bounds, now_minute) if source.is_present else 0
    minutes = minutes.shifted(shift_min)
    mqtt = settings.mqtt
    password = mqtt.password.get_secret_value() if mqtt.password else None
    account = None if mqtt.username is None else (mqtt.username, password)
    topic = DeviceTopic.parse("topics.reading", settings.topics.reading).for_device(device)
    answers = DeviceTopic.parse("topics.forecast", settings.topics.forecast).for_device(device)
    topics = submeter_topics(settings, device, recording.submeters)
    for warning in (unread_warning(settings, topic), *unread_submeters(settings, device, topics)):
        if warning:
            show(f"warning: {warning}")
    keys = {measured_name(name): one for name, one in topics.items()}
    with MeterPublisher(mqtt.host, mqtt.port, topic, account, stopping, transport, keys) as meter:
        for line in recording.lines(part.zone):
            show(line)
        if source.is_present:
            show(f"publishing on {topic}, {_present_pace(minutes.bounds, shift_min, part.zone)}")
        else:
            show(f"publishing on {topic} {_pace(len(minutes), speed)}")
        if speed is None or source.is_present:
            meter.follow(answers)
        # disable=None: show the bar on a terminal only; in a log it would be one line per reading.
        shown = tqdm(minutes, total=part.limit, unit=" readings", desc=device, disable=None)

        def publish(minute: Minute) -> None:
            meter.publish(minute, recording.submeters_kw(minute.minute - shift_min))

        if source.is_present:
            return replay_to_present(shown, publish, stopping)
        return publish_paced(shown, publish, speed, stopping)


def _pace(n_minutes: int, speed: float | None) -> str:
    """Return the speed at which minutes are published and about how long that takes, as text.

    >>> _pace(10_080, 60.0), _pace(60, 60.0)
    ('at 60 times real time: about 2.8 hours (--speed max: as fast as possible)', 'at 60 times real time: about 1 min')
    >>> _pace(10_080, None)
    'as fast as the broker confirms'
    """
    if speed is None:
        return "as fast as the broker confirms"
    took_min = n_minutes / speed
    hint = " (--speed max: as fast as possible)"
    duration = f"{took_min / 60:.1f} hours{hint}" if took_min >= _LONG_MIN else f"{max(took_min, 1):.0f} min"
    return f"at {speed:g} times real time: about {duration}"


def _present_pace(bounds: tuple[int, int], shift_min: int, zone: tzinfo) -> str:
    """Return as text when minutes between ``bounds``, moved by ``shift_min``, are published.

    >>> from datetime import UTC
    >>> _present_pace((29_892_960, 29_899_000), 1_440, UTC)
    '1 day later than in the file: from 2026-11-02 00:00 to now at once, then one a minute until 2026-11-06 04:40 (UTC)'
    """
    days = shift_min / DAY_MIN
    moved = counted(int(days), "day") if days.is_integer() else counted(shift_min, "minute")
    first, last = (local_label(minute, zone) for minute in bounds)
    return f"{moved} later than in the file: from {first} to now at once, then one a minute until {last} ({zone})"


def unread_warning(settings: Settings, topic: str) -> str:
    """Return why a gateway with ``settings`` does not read messages on ``topic``, and the fix; empty if it does.

    Without ``[[sources]]`` it reads all native readings.
    """
    if not settings.sources:
        return ""
    listener = SampleListener(settings)
    fix = f'add [[sources]] with preset = "gapcast" and topic = "{settings.topics.reading}" to the configuration'
    if not listener.reads(topic):
        read = ", ".join(source.pattern for source, _ in sources_of(settings))
        return f"a gateway with this configuration does not read {topic}: its sources read {read}; {fix}"
    powers_kw = _decoded_kw(listener, topic)
    if powers_kw == [1.0]:
        return ""
    found = f"1 kW as {powers_kw[0]:g} kW" if powers_kw else "no power"
    problem = next(iter(listener.rejected), "")
    return f"the source of {topic} reads {found}{f' ({problem})' if problem else ''}; {fix} before it"


def unread_submeters(settings: Settings, device: str, topics: Mapping[str, str]) -> Iterator[str]:
    """Yield why a gateway with ``settings`` does not read a submeter published on its topic, and the fix.

    ``topics`` are the topics of the submeters of ``device`` by name.
    """
    configured = {one.name for one in settings.submeters if one.of == device}
    for name, topic in topics.items():
        fix = f'[[submeters]] with of = "{device}", name = "{name}", preset = "gapcast" and topic = "{topic}"'
        if name not in configured:
            yield f"a gateway with this configuration does not read the submeter {name}: add {fix}"
        elif _decoded_kw(SampleListener(settings), topic) != [1.0]:
            yield f"a gateway with this configuration reads the submeter {name} from elsewhere: configure {fix}"


def _decoded_kw(listener: SampleListener, topic: str) -> list[float]:
    """Return the powers that ``listener`` decodes from a minute of 1 kW, published on ``topic`` like a replay's."""
    now_ms = time.time_ns() // 1_000_000
    payload = payload_of(Minute(now_ms // MINUTE_MS - 1, 1.0))
    publication = Publication(topic, payload, 0, False, False, b"", len(payload))
    listener.receive(ReceivedMessage(publication, time.perf_counter(), now_ms))
    return [kw for samples in listener.devices.values() for kw in samples.powers_kw]
