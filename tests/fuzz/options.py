"""Inputs that configure a gateway: TOML, an add-on's options, and the Supervisor's answer about its broker."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

from gapcast.addon.options import settings_of, wants_service
from gapcast.addon.supervisor import mqtt_service
from gapcast.config.loader import load
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError, StatusError
from gapcast.presets import presets
from gapcast.status.rest_client import RestClient
from gapcast.text.json_input import JsonError, decode_json
from tests.fuzz.target import Target, written
from tests.support.ports import LOOPBACK

_ROOT = Path(__file__).parents[2]
_SERVICE = {"host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons", "password": "w"}
#: Keys that read a file, which a fuzzer must not reach.
_READS_FILE = "_file"


def check_configuration(data: bytes) -> None:
    """Load ``data`` as gapcast.toml: settings, or an error in one sentence."""
    if _READS_FILE.encode() in data:
        return
    with written(data, "gapcast.toml") as path, suppress(SettingsError):
        assert isinstance(load(path, {}, {}), Settings)


def configuration_seeds() -> list[bytes]:
    """Return the example configuration, with its keys uncommented, and small configurations."""
    example = (_ROOT / "docker" / "config" / "gapcast.example.toml").read_text(encoding="utf-8")
    small = [
        '[mqtt]\nhost = "broker"\nport = 1883\n[limits]\nmin_kw = -10\nmax_kw = 30.5\n',
        '[[sources]]\npreset = "tasmota"\n[[sources]]\ntopic = "a/{device}"\nformat = "number"\nunit = "W"\n',
        '[site]\ntimezone = "Europe/Paris"\n[topics]\nreading = "x/{device}/y"\n[http]\nport = 8080\n',
    ]
    return [text.encode() for text in (example, *small)]


@cache
def _keys() -> tuple[str, ...]:
    """Return every key of the configuration, section by section."""
    found: list[str] = []
    for name, field in Settings.model_fields.items():
        found.append(f"[{name}]\n")
        found += [f"{key} = " for key in getattr(field.annotation, "model_fields", {})]
    return tuple(found)


def check_options(data: bytes) -> None:
    """Read ``data`` as an add-on's options and the Supervisor's service: settings, or an error in one sentence."""
    try:
        document = decode_json(data)
    except JsonError:
        return
    options = document.get("options", document) if isinstance(document, dict) else document
    service = document.get("service") if isinstance(document, dict) else None
    if not isinstance(options, dict) or not isinstance(service, dict | None):  # `gapcast addon` refuses these itself
        return
    with suppress(SettingsError):
        needs_service = wants_service(options)
        assert isinstance(settings_of(options, service if needs_service else None, {}), Settings)


def options_seeds() -> list[bytes]:
    """Return options of an add-on with the Supervisor's broker, and with another."""
    meters: list[dict[str, Any]] = [
        {"preset": "tasmota"}, {"preset": "custom", "topic": "energy/{device}/power", "unit": "W", "every_s": 10},
        {"preset": "shelly-gen2", "device": "home", "value": "", "topic": None},
    ]  # fmt: skip
    own = {"mqtt_host": "broker", "mqtt_port": 8883, "mqtt_username": "u", "mqtt_password": "p", "mqtt_tls": True}
    first = {"options": {"meters": meters, "home_assistant": True, "log_level": "info"}, "service": _SERVICE}
    return [json.dumps(document).encode() for document in (first, {"options": {"meters": meters[:1], **own}}, {})]


class _Answering:
    """A server on loopback that gives every request the same bytes."""

    def __init__(self) -> None:
        self.answer = b""
        self._listening = socket.create_server((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listening.getsockname()[1]}"
        Thread(target=self._serve, name="answers", daemon=True).start()

    def _serve(self) -> None:
        for connection in self._connections():
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass

    def _connections(self) -> Iterator[socket.socket]:
        while True:
            yield self._listening.accept()[0]


@cache
def _answering() -> _Answering:
    return _Answering()


def check_supervisor(data: bytes) -> None:
    """Return ``data`` as the answer to the request for the broker, and to one for a running service's state."""
    server = _answering()
    server.answer = data
    with suppress(SettingsError):
        service = mqtt_service({"SUPERVISOR_URL": server.url, "SUPERVISOR_TOKEN": "token"})
        assert isinstance(settings_of({}, service, {}), Settings)
    with suppress(StatusError):
        assert isinstance(RestClient(server.url).document("/readyz"), dict)


def supervisor_seeds() -> list[bytes]:
    """Return answers of the Supervisor: with a broker, without, and refused."""
    found = []
    for status, document in (
        ("200 OK", {"result": "ok", "data": _SERVICE}), ("400 Bad Request", {"result": "error"}), ("403 Forbidden", {}),
        ("503 Service Unavailable", {"status": "fail"}),
    ):  # fmt: skip
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        found.append(head.encode() + body)
    return found


TARGETS = (
    Target("configuration", check_configuration, configuration_seeds, _keys()),
    Target(
        "options", check_options, options_seeds,
        ("options", "service", "meters", "preset", "custom", "topic", "value", "unit", *_SERVICE, *presets()),
    ),
    Target(
        "supervisor", check_supervisor, supervisor_seeds,
        ("Transfer-Encoding: chunked\r\n", "Content-Length: ", "HTTP/1.1 302 Found\r\n", "HTTP/0.9", "data", *_SERVICE),
    ),
)  # fmt: skip
