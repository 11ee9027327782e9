"""The state folder of a gateway, and its persistent id."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import structlog

from gapcast.core.errors import SettingsError
from gapcast.core.readings.reading import is_device_id
from gapcast.private_files import (
    chown_to_owner_of,
    disk_error_fix,
    make_private_folder,
    replacement_of,
    tighten_state,
    write_private,
)

log = structlog.get_logger(__name__)

_ID_FILE = "gateway-id"


def state_path(configured: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the state folder: the configured one, else systemd's, else the user's.

    Raises :class:`SettingsError` if none of them exists.
    """
    if configured is not None:
        return configured
    if directory := environment.get("STATE_DIRECTORY"):
        return Path(directory.split(":")[0])
    home = environment.get("XDG_STATE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".local" / "state") / "gapcast"
    except RuntimeError as error:
        msg = "state.path: must be set, because this account has no home folder"
        raise SettingsError(msg) from error


def tighten_modes(state: Path) -> None:
    """Let only the owner read the files in the folder ``state``, and log those whose mode cannot be changed."""
    if unchanged := tighten_state(state):
        log.warning(
            "state.readable_by_others",
            paths=[str(path) for path in unchanged[:5]],
            fix="run chmod -R go= on them as their owner",
        )


def gateway_id(configured: str, state: Path) -> str:
    """Return this gateway's id: the configured one, else the one stored under ``state``, generated on the first start.

    If it cannot be stored, the service runs with it nevertheless, and calls :func:`store_gateway_id` later. If this
    account may not read the file, it runs with an id for this start only. Both are logged as a warning.
    Raises :class:`SettingsError` if the file holds something else.
    """
    if configured:
        return configured
    path = state / _ID_FILE
    try:
        stored = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return _generate(path)
    except PermissionError as error:
        _log_not_persisted(path, error)
        return _random_id()
    except NotADirectoryError as error:
        msg = f"state.path: {state} is not a folder: name another one, or remove the file that is there"
        raise SettingsError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}); set gateway.id, or remove the file"
        raise SettingsError(msg) from error
    if not stored:  # empty after a power failure: earlier versions did not sync it
        return _generate(path)
    if not is_device_id(stored):
        msg = f"{path}: holds {stored[:80]!r}, which is not a gateway id: remove the file to generate one"
        raise SettingsError(msg)
    return stored


def store_gateway_id(gateway: str, state: Path) -> None:
    """Store ``gateway`` under ``state`` as this gateway's id, unless one is stored; raise OSError if that fails."""
    path = state / _ID_FILE
    if has_gateway_id(state):
        return
    make_private_folder(state)
    with replacement_of(path) as part:
        write_private(part, f"{gateway}\n".encode())
        chown_to_owner_of(state, part)


def has_gateway_id(state: Path) -> bool:
    """Return whether an id is stored under ``state``, also one that this account may not read."""
    try:
        return bool((state / _ID_FILE).read_bytes().strip())
    except OSError as error:
        return isinstance(error, PermissionError)


def _generate(path: Path) -> str:
    generated = _random_id()
    try:
        store_gateway_id(generated, path.parent)
    except OSError as error:
        _log_not_persisted(path, error)
    return generated


def _random_id() -> str:
    return f"gw-{secrets.token_hex(4)}"


def _log_not_persisted(path: Path, error: OSError) -> None:
    fix = f"{disk_error_fix(error)}; or set gateway.id"
    problem, meanwhile = os.strerror(error.errno or 0), "each start has another gateway id"
    log.warning("state.not_persisted", path=str(path), problem=problem, fix=fix, meanwhile=meanwhile)
