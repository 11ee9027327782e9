"""Hostile input of ``setup``, ``check``, ``status`` and the add-on gives a clear error."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gapcast.addon.options import settings_of
from gapcast.addon.supervisor import mqtt_service
from gapcast.cli import main
from gapcast.core.errors import SettingsError, StatusError
from gapcast.mqtt.packets.frames import Publication
from gapcast.mqtt.session.received_messages import ReceivedMessage
from gapcast.setup.messages.message_recording import MessageRecording
from gapcast.setup.meters.meter_candidates import candidates
from gapcast.setup.meters.meter_sum import SumTerm, sum_of
from gapcast.setup.meters.preset_answers import MeterAnswer
from gapcast.setup.meters.preset_recognition import single_meters
from gapcast.status.rest_client import RestClient
from gapcast.status.status_snapshot import fetch_snapshot
from gapcast.text.json_input import JsonError, decode_json
from gapcast.text.terminal_text import printable
from tests.integration.conftest import Connect, connect, stack
from tests.security.test_hostile_presets import HOSTILE, json_text
from tests.support.brokers import MosquittoBroker
from tests.support.http_servers import QuietHandler, serving

__all__ = ["connect", "stack"]
NOW_MS = 1_767_268_800_000
#: Topics on which anyone may publish, with content that could mislead a person or a program.
TOPICS = [
    "lab/power",
    "tele/plug/SENSOR",
    "a/{device}/power",
    "a/{channel}/{part}/power",
    "zigbee2mqtt/{device}",
    "/",
    "//power",
    "x/" * 200 + "power",
    '"]\n[http]\nhost = "0.0.0.0"/power',
    "power\x1b[2J\x1b]0;owned\x07",
    "é/power",
    "%s/power",
    "a b/power",
    "homeassistant/sensor/x_power/state",
    "shellies/x/emeter/0/power",
    "my+/power",
    "x\u2028power/power",
]
PAYLOADS = [
    *HOSTILE,
    "412",
    "-1e300",
    "1e308",
    '{"power": 412}',
    '{"power": 1e308, "grid": {"power": "9"}}',
    "{" + ",".join(f'"power{i}": {i}' for i in range(3_000)) + "}",
    '{"a.b": {"power": 1}}',
    '{"": {"": 1}}',
    '{"power + power": 1}',
    '{" ": 1, "power w": 2}',
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07",
]


def recording_of(messages: list[tuple[str, str]]) -> MessageRecording:
    recording = MessageRecording()
    for i, (topic, text) in enumerate(messages):
        body = text.encode("utf-8", "replace")
        publication = Publication(topic, body, 0, False, True, b"", len(body))
        recording.add(ReceivedMessage(publication, float(i), NOW_MS + 1_000 * i))
    return recording


@given(st.lists(st.tuples(st.sampled_from(TOPICS), st.sampled_from(PAYLOADS) | json_text), min_size=1, max_size=3))
def test_setup_any_hostile_message_makes_no_error(messages: list[tuple[str, str]]) -> None:
    recording = recording_of(messages)
    for topic in (None, messages[0][0]):
        found = candidates(recording, "Europe/Paris", MeterAnswer(topic))
        for candidate in found:
            assert candidate.devices
            assert printable(candidate.title).isprintable() or "\n" in candidate.title
            assert all(len(one.devices) == 1 for one in single_meters(candidate, recording, "Europe/Paris"))
        total = sum_of([SumTerm(1, candidate) for candidate in found], recording, "Europe/Paris")
        assert total is None or list(total.devices) == ["home"]


@pytest.mark.mosquitto
def test_setup_and_check_with_hostile_retained_messages(
    mosquitto: MosquittoBroker, connect: Connect, tmp_path: Path
) -> None:
    """The terminal gets no control characters, and a valid meter is written as read."""
    peer = connect(mosquitto)
    # mosquitto rejects the others; another broker may accept them.
    topics = [topic for topic in TOPICS if "+" not in topic and topic.isprintable() and topic.count("/") < 100]
    for i, payload in enumerate(PAYLOADS):
        peer.publish(f"{topics[i % len(topics)]}/{i}", payload, retain=True)
    peer.publish("tele/honest/SENSOR", '{"Time": "2026-01-01T12:00:00", "ENERGY": {"Power": 230}}', retain=True)
    at = f"{mosquitto.host}:{mosquitto.port}"
    config = tmp_path / "gapcast.toml"
    setup = [sys.executable, "-m", "gapcast", "setup", "--yes", "--broker", at, "--config", str(config), "--wait", "2"]
    check = [sys.executable, "-m", "gapcast", "check", "--config", str(config), "--wait", "1"]
    ended = []
    for command in (setup, [*setup, "--preset", "tasmota"], check):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert "Traceback" not in done.stderr + done.stdout
        assert "\x1b]" not in done.stderr + done.stdout
        assert "\x07" not in done.stderr + done.stdout
        ended.append(done.returncode)
    assert ended[0] in {1, 2}, "several meters, and nobody to choose"
    assert ended[1] == 0
    assert 'preset = "tasmota"' in config.read_text(encoding="utf-8")


# --- answers ------------------------------------------------------------------------------------------


@contextmanager
def answering(answers: dict[str, bytes], status: int = 200, raw: bytes | None = None) -> Iterator[str]:
    """Yield the address of a server that gives these answers, by path; or ``raw`` bytes that need not be HTTP."""

    class Handler(QuietHandler):
        def answer_get(self) -> None:
            if raw is not None:
                self.wfile.write(raw)
                return
            self.respond(answers.get(self.path.partition("?")[0], b"{}"), status)

    with serving(Handler) as url:
        yield url


SCORES = {"last_day": {"skill": 0.1, "coverage": 0.9, "sufficient": True}}
FORECAST = {
    "gap_kw": 1.0,
    "lower_kw": 0.5,
    "upper_kw": 1.5,
    "observed_at": "2026-01-01T12:00:00Z",
    "target_at": "2026-01-01T12:05:00Z",
    "issued_at": "2026-01-01T12:00:00.5Z",
    "model": "lstm",
}
DEVICE: dict[str, Any] = {
    "device": "home",
    "last_reading": {"gap_kw": 1.0},
    "forecast": FORECAST,
    "scores": SCORES,
}
HEALTH = {"status": "pass", "checks": {"mqtt:connection": [{"status": "pass"}]}}
METRICS = b'gapcast_build_info{version="1",runtime="tflite"} 1\ngapcast_devices 1\ngapcast_batch_size_count 1\n'


OUTLOOK = {"device": "home", "lead_min": [1, 15], "mean_to_kw": [1.0, 2.0]}
DEMAND = {
    "device": "home",
    "window_start": "2026-01-01T12:00:00Z",
    "window_end": "2026-01-01T12:15:00Z",
    "expected_kw": 1.9,
    "limit_kw": 2.5,
    "p_exceed": 0.1,
    "headroom_w": 600,
    "fuse_kw": None,
    "valid_until": "2026-01-01T12:05:00Z",
}
ROUTES = ("/readyz", "/devices", "/outlook", "/demand")


def documents() -> list[dict[str, Any]]:
    """Return a document of each of the :data:`ROUTES`."""
    return copy.deepcopy(
        [
            HEALTH,
            {"devices": [DEVICE], "n_devices": 1},
            {"outlooks": [OUTLOOK], "n_devices": 1},
            {"demands": [DEMAND], "n_devices": 1},
        ]
    )


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places_in(one, (*place, key))


def put(document: Any, place: tuple[Any, ...], value: object) -> Any:
    if not place:
        return value
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return document


def status_of(url: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["status", "--once", "--url", url])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize("value", [None, [], {}, "x", "\x1b[2J", -1, 10**4_299, 1e308, True, [[]]], ids=repr)
def test_status_invalid_answer_is_a_clear_error(value: object) -> None:
    answers = {"/metrics": METRICS}
    with answering(answers) as url:
        for which in range(len(ROUTES)):
            for place in places_in(documents()[which]):
                given = documents()
                given[which] = put(given[which], place, value)
                answers.update(zip(ROUTES, (json.dumps(one).encode() for one in given), strict=True))
                code, output = status_of(url)
                assert code in {0, 1, 2}
                assert "\x1b" not in output
                assert code != 2 or "gapcast" in output


@pytest.mark.parametrize(
    "metrics",
    [
        b"\xff\xfe",
        b"gapcast_devices NaN\n",
        b"gapcast_devices 1e400\n",
        b'a{b="',
        b"# TYPE a counter\na_total{} x\n",
        b'gapcast_models_total{x="\x1b[2J"} 1\n',
        b"gapcast_forecasts_total 1\n",
        b"gapcast_queue_depth -Inf\n",
    ],
)
def test_status_invalid_metrics_are_a_clear_error(metrics: bytes) -> None:
    answers = dict(zip(ROUTES, (json.dumps(one).encode() for one in documents()), strict=True)) | {"/metrics": metrics}
    with answering(answers) as url:
        code, output = status_of(url)
    assert code in {0, 2}
    assert "\x1b" not in output


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 999999 no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=range(7),
)
def test_status_and_supervisor_answer_not_http_is_a_clear_error(raw: bytes) -> None:
    with answering({}, raw=raw) as url:
        with pytest.raises(StatusError):
            fetch_snapshot(RestClient(url))
        with suppress(SettingsError):
            assert mqtt_service({"SUPERVISOR_URL": url, "SUPERVISOR_TOKEN": "t"}) is None


def test_status_endless_answer_is_rejected() -> None:
    with answering({"/readyz": b"1" * (40 << 20)}) as url, pytest.raises(StatusError, match="more than 32 MB"):
        RestClient(url).document("/readyz")


# --- the add-on ---------------------------------------------------------------------------------------

OPTIONS: dict[str, Any] = {
    "mqtt_host": "broker",
    "mqtt_port": 1883,
    "mqtt_username": "a",
    "mqtt_password": "b",
    "mqtt_tls": False,
    "home_assistant": True,
    "log_level": "info",
    "meters": [{"preset": "tasmota", "topic": "", "every_s": None}],
}
SERVICE = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons", "password": "w"}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_addon_invalid_options_are_a_clear_error(text: str, tmp_path: Path) -> None:
    """The command reports errors of the file as a whole, and the conversion reports each place in it."""
    file = tmp_path / "options.json"
    file.write_text(text, encoding="utf-8")
    if text not in {"{}", '{"a": 1}'}:
        done = CliRunner().invoke(main, ["addon", "--options", str(file)])
        assert done.exit_code == 2
        assert "options" in done.output
    try:
        value = decode_json(text)
    except JsonError:
        return
    for place in places_in(OPTIONS):
        if place:
            _settings_or_sentence(put(copy.deepcopy(OPTIONS), place, value), None)
    for place in places_in(SERVICE):
        if place:
            _settings_or_sentence({}, put(dict(SERVICE), place, value))


def _settings_or_sentence(options: dict[str, Any], service: dict[str, Any] | None) -> None:
    with suppress(SettingsError):  # anything else is the traceback that no user is to see
        settings_of(options, service, {})


def test_addon_supervisor_without_a_port_is_accepted() -> None:
    assert settings_of({}, {"host": "core-mosquitto"}, {}).mqtt.host == "core-mosquitto"


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_addon_supervisor_invalid_answer_is_an_error_or_no_broker(text: str) -> None:
    for body in (text, f'{{"data": {text}}}'):
        with answering({"/services/mqtt": body.encode()}) as url, suppress(SettingsError):
            assert mqtt_service({"SUPERVISOR_URL": url, "SUPERVISOR_TOKEN": "t"}) is None
