"""Writes the configuration file, and the password to a second file that only its owner can read."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapcast.core.errors import SettingsError
from gapcast.private_files import write_error

PASSWORD_FILE = "mqtt-password"  # noqa: S105 - the file's name
_FOLDER_MODE = 0o755
#: Maximum number of former files that are kept; more must be removed by hand.
_MAX_FORMER = 99
_HEADER = "# Written by gapcast setup. All keys and their defaults: docs/configuration.md; meters: docs/meters.md\n"


def toml_of(document: Mapping[str, Any]) -> str:
    r"""Return ``document`` (sections of values and sections, and lists of sections) as TOML.

    Raises :class:`SettingsError` if a value cannot be read back.

    >>> print(toml_of({"mqtt": {"host": "broker", "port": 1883}}).partition("\n\n")[2], end="")
    [mqtt]
    host = "broker"
    port = 1883
    """
    text = _HEADER + "".join(_section(name, value) for name, value in document.items())
    try:
        same = tomllib.loads(text) == document
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        msg = "an answer cannot be written to a configuration file: remove control characters"
        raise SettingsError(msg)
    return text


def _section(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(f"\n[[{name}]]\n{_values(one)}" for one in value)
    inner = "".join(_section(f"{name}.{key}", one) for key, one in value.items() if isinstance(one, dict))
    return f"\n[{name}]\n{_values(value)}{inner}"


def _values(section: Mapping[str, Any]) -> str:
    plain = {key: value for key, value in section.items() if not isinstance(value, dict)}
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in plain.items())


def write(path: Path, text: str, mode: int, *, replacing: bool) -> None:
    """Write a file atomically, and never over an existing one unless ``replacing``.

    Raises :class:`SettingsError` if that fails.
    """
    try:
        _make_folder(path.parent)
        # Readable by its owner only until it is complete.
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(part).chmod(mode)
            if replacing:
                Path(part).replace(path)
            else:
                os.link(part, path)
        finally:
            Path(part).unlink(missing_ok=True)
    except FileExistsError as error:
        msg = f"{path} already exists: choose another with --config, or pass --overwrite"
        raise SettingsError(msg) from error
    except OSError as error:
        msg = f"cannot write {path} ({error.strerror}): choose another location with --config, or use sudo"
        raise SettingsError(msg) from error


def back_up_existing(path: Path) -> Path | None:
    """Back up an existing file under a new name, with its mode; return the name, or None without a file.

    Files that were kept earlier stay. Raises :class:`SettingsError` if this fails.
    """
    names = (f"{path.name}.before", *(f"{path.name}.before-{n}" for n in range(2, _MAX_FORMER + 1)))
    former = next((one for name in names if not (one := path.with_name(name)).exists()), path.with_name(names[-1]))
    try:
        os.link(path, former)
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = (
            f"cannot back up {path} as {former} ({error.strerror}); {path} was not replaced: choose another file with "
            "--config"
        )
        raise SettingsError(msg) from error
    return former


def check_writable(path: Path) -> None:
    """Raise :class:`SettingsError` if a file cannot be written to ``path``, before any question is asked."""
    folder = next(one for one in path.absolute().parents if one.exists())
    fix = "choose another location with --config"
    if not folder.is_dir():
        reason = f"{folder} is not a folder"
    elif error := write_error(folder):
        reason = f"{folder}: {error.strerror}"
        fix += ", or use sudo" * (error.errno == errno.EACCES)
    else:
        return
    msg = f"cannot write {path} ({reason}): {fix}"
    raise SettingsError(msg)


def _make_folder(folder: Path) -> None:
    """Create ``folder`` and its missing parents; the service's account may enter them, whatever the umask."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(error.errno, "a file with that name exists") from error
    for one in missing:
        one.chmod(_FOLDER_MODE)
