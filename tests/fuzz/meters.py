"""Messages of meters: the native payload, every preset, messages for ``gapcast setup``, and times."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gapcast.app.broker.broker import sources_of
from gapcast.config.settings import Settings
from gapcast.core.errors import PayloadError, SettingsError
from gapcast.core.meters.localtime import local_instant_of
from gapcast.core.meters.values import parse_sum
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Limits, Reading, instant_of, is_device_id
from gapcast.core.time_grid import EARLIEST_MS, LATEST_MS, minute_label, minute_of
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.payloads import decode, encode_rejection
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.mqtt.sources.sources import SourceReader
from gapcast.presets import presets
from gapcast.recordings.recording import minute_at
from gapcast.service.ports.broker_link import IncomingMessage
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.power_guess import guess_power_sources
from gapcast.setup.meters.preset_recognition import recognize_presets
from tests.fuzz.target import FIELD, PART, Target

_EXTRAS = ("reactive_kvar", "voltage_v", "current_a")
_LIMITS = Limits()
_NOW_MS = 1_672_531_200_000  # 2023-01-01T00:00:00Z
_PARIS = ZoneInfo("Europe/Paris")
#: Maximum length of a rejection's detail, which is logged and published.
_LONGEST_DETAIL = 400
_METERS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[1] / "fixtures" / "meters.toml").read_text(encoding="utf-8")
)["meter"]
_TIMES = ("2023-10-29T02:30:00Z", "2023-10-29T02:30:00", "2010-11-01T00:29:00.123+01:00", "1288571340", "1288571340000")


def _check_reading(reading: Reading) -> None:
    assert is_device_id(reading.device), reading
    assert _LIMITS.min_kw <= reading.gap_kw <= _LIMITS.max_kw, reading
    assert minute_of(EARLIEST_MS) <= reading.minute < minute_of(LATEST_MS), reading
    assert type(reading.minute) is int, reading
    for name, value in (reading.measured or {}).items():
        assert name in _EXTRAS, reading
        assert math.isfinite(value), reading


def _check_problem(problem: PayloadError, topic: str, payload: bytes) -> None:
    assert len(problem.detail) <= _LONGEST_DETAIL, problem.detail
    document = json.loads(encode_rejection(topic, payload, problem.reason, problem.detail))
    assert document["reason"] == problem.reason


# --- the native payload -----------------------------------------------------------------------


def check_payload(data: bytes) -> None:
    """Decode ``data`` as a native payload; encoding a reading and decoding it again must give the same reading."""
    try:
        reading = decode("home", data, len(data), _NOW_MS, _LIMITS, _EXTRAS)
    except PayloadError as problem:
        _check_problem(problem, "gap/home/reading", data)
        return
    _check_reading(reading)
    document = {"ts": minute_label(reading.minute), "gap_kw": reading.gap_kw, **(reading.measured or {})}
    again = json.dumps(document).encode()
    assert decode("home", again, len(again), None, _LIMITS, _EXTRAS) == reading._replace(
        measured=reading.measured or {}
    )


def payload_seeds() -> list[bytes]:
    """Return payloads in each documented form."""
    documents: list[Any] = [
        1.234, 0, -5, {"gap_kw": 1.5}, {"ts": "2010-11-01T00:29:00Z", "gap_kw": 1.234},
        {"ts": 1_288_571_340, "gap_kw": 0.25, "voltage_v": 239.1, "current_a": 4.6, "reactive_kvar": 0.1},
        {"ts": 1_288_571_340_000, "gap_kw": -0.5, "unknown": {"a": [1, None, "x"]}},
    ]  # fmt: skip
    return [json.dumps(document).encode() for document in documents]


# --- presets ----------------------------------------------------------------------------------


@cache
def _settings_of(name: str) -> Settings:
    return Settings.model_validate({"sources": [{"preset": name}], "site": {"timezone": "Europe/Paris"}})


def messages_in(data: bytes) -> tuple[str, list[tuple[str, bytes, int, int]]]:
    """Return a preset's name and messages (topic, payload, seconds since the previous one, flags) from an input."""
    head, *parts = data.split(PART)
    names = sorted(presets())
    name = head.decode("ascii", "replace")
    if name not in names:
        name = names[sum(head) % len(names)]
    messages = []
    for part in parts[:32]:
        topic, _, rest = part.partition(FIELD)
        timing, _, payload = rest.partition(FIELD)
        delay_s, _, flags = timing.decode("ascii", "replace").partition(" ")
        messages.append((topic.decode("utf-8", "replace"), payload, _small_int(delay_s), _small_int(flags) & 3))
    return name, messages


def _small_int(text: str) -> int:
    return int(text) if text.lstrip("-").isdecimal() and text.isascii() and len(text) <= 8 and text != "-" else 0


def check_preset(data: bytes) -> None:
    """Pass the messages of ``data`` to a reader of one preset; it makes readings within the limits, or rejects."""
    name, messages = messages_in(data)
    now_ms = _NOW_MS
    reader = SourceReader(sources_of(_settings_of(name)), _LIMITS, _EXTRAS, 3, Statistics(), lambda: now_ms)
    incoming: list[IncomingMessage] = []
    for place, (topic, payload, delay_s, flags) in enumerate(messages):
        now_ms += delay_s * 1_000
        publication = Publication(topic, payload, place + 1, bool(flags & 1), bool(flags & 2), b"", len(payload))
        incoming += reader.read(ReceivedMessage(publication, now_ms / 1_000, now_ms))
        incoming += reader.close_due(256)
    now_ms += 3_600_000
    incoming += reader.close_due(256)
    for one in incoming:
        assert one.reading is None or one.problem is None
        if one.reading is not None:
            _check_reading(one.reading)
        if one.problem is not None:
            message: Publication = one.token
            _check_problem(one.problem, message.topic, message.payload)


def preset_seeds() -> list[bytes]:
    """Return the messages of each preset's meters (tests/fixtures/meters.toml), twice so that minutes end."""
    seeds = []
    for meter in _METERS:
        parts = [meter["preset"].encode()]
        for delay_s in (0, 60):
            for topic, payload in meter["sends"]:
                parts.append(FIELD.join((topic.encode(), f"{delay_s} 0".encode(), payload.encode())))
        seeds.append(PART.join(parts))
    return seeds


def preset_words() -> list[str]:
    """Return the presets' names, the keys that they read, and levels of topics."""
    words = {*presets(), "em:0", "unavailable", "ts", "gap_kw"}
    for preset in presets().values():
        values = preset.get("value", [])
        for text in values if isinstance(values, list) else [values]:
            words |= {key for term in parse_sum(text) for key in term.keys}
        words |= set(preset["topic"].split("/")) | set(preset.get("time", "").split("."))
    return sorted(word for word in words if word)


# --- setup ------------------------------------------------------------------------------------


def check_setup(data: bytes) -> None:
    """Pass the messages of ``data`` to ``gapcast setup``; every candidate has device names and finite powers."""
    _, messages = messages_in(data)
    recording, at_ms = MessageRecording(), _NOW_MS
    for place, (topic, payload, delay_s, flags) in enumerate(messages[:6]):
        at_ms += delay_s * 1_000
        publication = Publication(topic, payload, place + 1, bool(flags & 1), bool(flags & 2), b"", len(payload))
        recording.add(ReceivedMessage(publication, at_ms / 1_000, at_ms))
    known = recognize_presets(recording, "Europe/Paris")
    topics = {topic for candidate in known for topic in candidate.topics}
    for candidate in (*known, *guess_power_sources(recording, "Europe/Paris", topics, any_name=True)):
        assert candidate.title
        assert all(is_device_id(device) for device in candidate.devices)
        assert all(math.isfinite(power) for power in candidate.devices.values())


def setup_seeds() -> Sequence[bytes]:
    """Return the presets' messages on their own topics, and on others that only the numbers' names reveal."""
    other = [
        PART.join((b"", FIELD.join((b"energy/garage/power", b"0 0", b"231.5")))),
        PART.join((b"", FIELD.join((b"cellar/meter7", b"0 0", b'{"grid":{"power_kw":0.4,"today":3}}')))),
        PART.join((b"", FIELD.join((b"zigbee2mqtt/plug", b"0 2", b'{"power":12,"energy":1.5,"state":"ON"}')))),
        PART.join((b"", FIELD.join((b"go-eController/9/ccp", b"0 0", b"[2344.494,2332.254,0,null,[12.3,[1]]]")))),
        PART.join((b"", FIELD.join((b"dsmr/power", b"0 0", b'{"power":[{"value":1.674,"unit":"kW"}],"a":[1,{}]}')))),
    ]
    return [*preset_seeds()[::3], *other]


# --- times ------------------------------------------------------------------------------------


def check_time(data: bytes) -> None:
    """Read ``data`` as a time in every form; it is a possible time of a reading, or rejected."""
    text = data.decode("utf-8", "replace")
    stamps: list[object] = [text]
    with suppress(ValueError):
        stamps.append(json.loads(data))
    for stamp in stamps:
        with suppress(PayloadError):
            assert EARLIEST_MS <= instant_of(stamp) < LATEST_MS
        with suppress(PayloadError):
            assert type(local_instant_of(stamp, _PARIS, _NOW_MS, _NOW_MS - 60_000)) is int
    with suppress(SettingsError):
        assert type(minute_at("--from", text)) is int


TARGETS = (
    Target("payload", check_payload, payload_seeds, ("ts", "gap_kw", *_EXTRAS, *_TIMES)),
    Target("preset", check_preset, preset_seeds, preset_words()),
    Target("setup", check_setup, setup_seeds, (*preset_words(), "power", "kW", "watts", "voltage"), 2_048),
    Target("time", check_time, lambda: [text.encode() for text in _TIMES], (*_TIMES, "T", "Z", "+14:00", "1e11"), 64),
)
