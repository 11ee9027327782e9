"""Checks the machine: compiled steps, memory, a correct clock, a writable state folder, a free port."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException

from gapcast.app.engines.device_limit import FIX, device_cost
from gapcast.app.engines.engine import engine_of
from gapcast.app.http_server import listen_error_type, listen_fix, listen_problem
from gapcast.check.finding import CheckInput, Finding, fail, ok, warn
from gapcast.compiled.library import loaded
from gapcast.config.files.service_address import local_address
from gapcast.config.files.state_dir import state_path
from gapcast.config.machine.memory_limit import fitting_devices, read_memory_limit
from gapcast.config.shards import readings_folder
from gapcast.core.errors import EXIT_STATE_LOCKED, SettingsError
from gapcast.private_files import disk_error_fix
from gapcast.text.json_input import decode_json

_COMPILED_FIX = (
    "install the released wheel (Linux with glibc on x86-64, 64-bit ARM or 32-bit ARMv7), or install a C compiler "
    "(apt install gcc libc6-dev) and then gapcast from its source; ignore this if CPU time is not a concern"
)
#: Largest disk usage of a gateway, with the readings of 100,000 devices.
_LEAST_FREE_BYTES = 100 << 20
_TIMEOUT_S, _MAX_RESPONSE_BYTES = 10.0, 1 << 16


def check_compiled_steps(inputs: CheckInput) -> Iterator[Finding]:
    """Open the library of compiled steps; without it the forecasts are the same, and take more CPU time."""
    found = loaded()
    if found.library is None:
        text = f"none ({found.problem}): numpy is used instead (same forecasts, several times the CPU time)"
        yield warn("compiled steps", text, _COMPILED_FIX)
    else:
        yield ok("compiled steps", f"in use, built for {found.machine}")


def check_memory(inputs: CheckInput) -> Iterator[Finding]:
    """Compare the numbers of devices with the memory limit of this process; the service's own limit may differ."""
    limit = read_memory_limit()
    if inputs.models is None or limit is None:
        return
    configured = inputs.settings.devices.max
    cost = device_cost(engine_of(inputs.settings, inputs.models))
    fitting = fitting_devices(cost, limit.n_bytes, configured)
    lowered = [
        f"{key} is {n_wanted}, but only {n_fitting} {what} fit"
        for key, n_wanted, n_fitting, what in (
            ("devices.max", configured, fitting.n_devices, "devices"),
            ("learning.max_devices", cost.n_tracked, fitting.n_tracked, "tracked devices"),
            ("outlook.max_devices", cost.n_outlook, fitting.n_outlook, "outlooks"),
        )
        if n_fitting < n_wanted
    ]
    if lowered:
        yield warn("memory", f"{'; '.join(lowered)} into {limit}", FIX)
    else:
        yield ok("memory", f"room for devices.max = {configured:,}: {limit}")


def check_clock(inputs: CheckInput) -> Iterator[Finding]:
    """Check that this machine's clock is not before the creation of its models."""
    now = datetime.now(UTC)
    created = max((card.created_at for card in inputs.models.cards), default=now) if inputs.models else now
    if now < created:
        text = (
            f"this machine says {now:%Y-%m-%d %H:%M} UTC, which is before its models were created ({created:%Y-%m-%d})"
        )
        fix = (
            "set the clock: timedatectl set-ntp true; a Raspberry Pi without a real-time clock needs the network first"
        )
        yield warn("clock", text, fix)
    else:
        yield ok(
            "clock", f"this machine says {now:%Y-%m-%d %H:%M} UTC; site.timezone is {inputs.settings.site.timezone}"
        )


def check_state(inputs: CheckInput) -> Iterator[Finding]:
    """Check that the state folder is writable, by a temporary file.

    A missing folder is not created: after ``sudo gapcast check`` it would belong to root instead of the service.
    """
    settings, state = inputs.settings, inputs.settings.state
    try:
        path = state_path(state.path, inputs.environment)
    except SettingsError as error:
        yield fail("state", str(error), "set state.path to a folder that this account can write to", error.exit_code)
        return
    if not state.keep:
        yield ok("state", "the state is not persisted (state.keep = false)")
        return
    folder = readings_folder(settings, path)
    try:
        existing = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"gapcast")
            os.fsync(file.fileno())
        free_bytes = shutil.disk_usage(existing).free
    except OSError as error:
        text = f"{folder} is not writable ({error.strerror}): "
        if settings.shards is not None:
            yield fail("state", f"{text}a shard does not start without it", disk_error_fix(error), EXIT_STATE_LOCKED)
        else:
            yield warn("state", f"{text}a restart would lose all readings", disk_error_fix(error))
        return
    if free_bytes < _LEAST_FREE_BYTES:
        yield warn("state", f"{folder}: only {free_bytes >> 20} MB free", "free disk space, or set state.path")
    else:
        yield ok("state", f"{folder} is writable")


def check_port(inputs: CheckInput) -> Iterator[Finding]:
    """Check that the HTTP port is free; if not, find out whether gapcast itself uses it."""
    http = inputs.settings.http
    address = f"{http.host} port {http.port}"
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        socket.create_server((http.host, http.port), family=family).close()
    except OSError as error:
        if _is_gapcast(http.host, http.port):
            yield ok("http", f"{address}: a gapcast service is already running there")
            return
        text = f"cannot listen on {address} ({listen_problem(error)})"
        yield fail("http", text, listen_fix(error, http.port), listen_error_type(error).exit_code)
    else:
        yield ok("http", f"{address} is free")


def _is_gapcast(host: str, port: int) -> bool:
    try:
        connection = HTTPConnection(local_address(host), port, timeout=_TIMEOUT_S)
        with closing(connection):
            connection.request("GET", "/readyz")
            document = decode_json(connection.getresponse().read(_MAX_RESPONSE_BYTES))
    except (OSError, HTTPException, ValueError):
        return False
    checks = document.get("checks") if isinstance(document, dict) else None
    return isinstance(checks, dict) and "mqtt:connection" in checks
