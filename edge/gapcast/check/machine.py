"""What the machine must give: a clock that is right, a folder that can be written, a port that is free."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException

from gapcast.check.finding import SETTINGS_FAIL, Finding, Situation, fail, ok, warn
from gapcast.config.shards import folder_of
from gapcast.config.state_dir import state_path
from gapcast.core.errors import SettingsError
from gapcast.json_input import decode_json

#: What readings of 100,000 devices, and what else a gateway writes, take at most.
_LEAST_FREE_BYTES = 100 << 20
_ASK_S, _LONGEST_ANSWER = 2.0, 1 << 16


def check_clock(situation: Situation) -> Iterator[Finding]:
    """See whether this machine's clock is later than the models, which were made before it could have them."""
    now = datetime.now(UTC)
    made = max((card.created_at for card in situation.models.cards), default=now) if situation.models else now
    if now < made:
        text = f"this machine says {now:%Y-%m-%d %H:%M} UTC, which is before its models were created ({made:%Y-%m-%d})"
        cure = (
            "set the clock: timedatectl set-ntp true; a Raspberry Pi without a real-time clock needs the network first"
        )
        yield warn("clock", text, cure)
    else:
        yield ok(
            "clock", f"this machine says {now:%Y-%m-%d %H:%M} UTC; site.timezone is {situation.settings.site.timezone}"
        )


def check_state(situation: Situation) -> Iterator[Finding]:
    """Write a file where readings are to be kept over a restart."""
    state = situation.settings.state
    try:
        path = state_path(state.path, situation.environment)
    except SettingsError as error:
        yield fail("state", str(error), "set state.path to a folder that this account can write to", SETTINGS_FAIL)
        return
    if not state.keep:
        yield ok("state", "the state is not persisted (state.keep = false)")
        return
    folder = folder_of(situation.settings, path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"gapcast")
            os.fsync(file.fileno())
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        cure = "grant this account write permission, or set state.path to another folder"
        yield warn("state", f"{folder} is not writable ({error.strerror}): a restart would lose all readings", cure)
        return
    if free_bytes < _LEAST_FREE_BYTES:
        yield warn("state", f"{folder}: only {free_bytes >> 20} MB free", "free disk space, or set state.path")
    else:
        yield ok("state", f"{folder} is writable")


def check_port(situation: Situation) -> Iterator[Finding]:
    """Bind the port of REST and the page, and let it go; where it is taken, see by whom."""
    http = situation.settings.http
    where = f"{http.host} port {http.port}"
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        socket.create_server((http.host, http.port), family=family).close()
    except OSError as error:
        if _is_gapcast(http.host, http.port):
            yield ok("http", f"{where}: a gapcast service is already running there")
            return
        cure = f"stop what listens there (ss -ltnp 'sport = :{http.port}' shows it), or set http.port and http.host"
        yield fail(
            "http",
            f"cannot listen on {where} ({os.strerror(error.errno) if error.errno else error})",
            cure,
            SETTINGS_FAIL,
        )
    else:
        yield ok("http", f"{where} is free")


def _is_gapcast(host: str, port: int) -> bool:
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address has this machine's own
    try:
        asked = HTTPConnection(own, port, timeout=_ASK_S)
        with closing(asked):
            asked.request("GET", "/readyz")
            document = decode_json(asked.getresponse().read(_LONGEST_ANSWER))
    except (OSError, HTTPException, ValueError):
        return False
    checks = document.get("checks") if isinstance(document, dict) else None
    return isinstance(checks, dict) and "mqtt:connection" in checks
