"""What a gateway keeps between starts: for now, its id."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import structlog

from gapcast.core.errors import SettingsError
from gapcast.core.reading import is_device_id
from gapcast.private_files import create_private, make_private_folder

log = structlog.get_logger(__name__)

_ID_FILE = "gateway-id"


def state_path(configured: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the folder of the state: as configured, else systemd's, else the user's own.

    Raises :class:`SettingsError` where there is none of them.
    """
    if configured is not None:
        return configured
    if directory := environment.get("STATE_DIRECTORY"):
        return Path(directory.split(":")[0])
    home = environment.get("XDG_STATE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".local" / "state") / "gapcast"
    except RuntimeError as error:
        msg = "state.path: must be set, since this account has no home folder"
        raise SettingsError(msg) from error


def gateway_id(configured: str, state: Path) -> str:
    """Return this gateway's id: the configured one, else the one kept under ``state``, made on the first start.

    Where it cannot be kept, the service still runs, with an id for this start alone, and says so.
    Raises :class:`SettingsError` where the kept file holds something else.
    """
    if configured:
        return configured
    path = state / _ID_FILE
    try:
        kept = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return _make(path)
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error}); set gateway.id, or remove the file"
        raise SettingsError(msg) from error
    if not is_device_id(kept):
        msg = f"{path}: holds {kept[:80]!r}, which is no gateway id; remove the file and one is made"
        raise SettingsError(msg)
    return kept


def _make(path: Path) -> str:
    made = f"gw-{secrets.token_hex(4)}"
    part = path.with_suffix(".part")
    try:
        make_private_folder(path.parent)
        with create_private(part) as file:
            file.write(f"{made}\n".encode())
        part.replace(path)
    except OSError as error:
        log.warning(
            "state.not_kept", path=str(path), problem=os.strerror(error.errno or 0), cure="set state.path or gateway.id"
        )
    return made
