"""Reads the configuration: ``gapcast.toml``, then environment ``GAPCAST_…``, then command line.

The environment nests by two underscores: ``GAPCAST_MQTT__HOST`` is ``mqtt.host``. Any key may be read
from a file (a Docker secret, a systemd credential) by ``_FILE``: ``GAPCAST_MQTT__PASSWORD_FILE``; in
``gapcast.toml`` by ``_file``: ``password_file``, as seen from the folder of ``gapcast.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError

FILE_SUFFIX = "_file"
ENV_PREFIX, ENV_NESTING, ENV_FILE_SUFFIX = "GAPCAST_", "__", "_FILE"
DEFAULT_FILE = Path("gapcast.toml")
#: The one key that is of no section.
_SHARDS = "shards"


def load(file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """Read the settings: ``file`` (or ``gapcast.toml`` here, if there is one), environment, ``overrides``.

    ``overrides`` are nested like the file. Raises :class:`SettingsError` that names the first key that
    is wrong and what is wrong with it.
    """
    path = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    merged: dict[str, Any] = {}
    for source in (_read_toml(path) if path else {}, _read_environment(environment), overrides):
        _merge(merged, source)
    merged = _with_secrets(merged)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = {
            "extra_forbidden": "there is no such key",
            "model_type": "is a section, not a value",
        }.get(first["type"], first["msg"].removeprefix("Value error, "))
        # Also a secret's key misspelt, or left out.
        may_be_secret = "password" in key or "token" in key or first["type"] in {"extra_forbidden", "model_type"}
        shown = "" if may_be_secret or isinstance(first["input"], dict) else f" (it is {first['input']!r})"
        where = f"configuration key {key}" if key else "configuration"
        msg = f"{where}: {problem}{shown}"
        raise SettingsError(msg) from error


def nested(dotted: str, value: object) -> dict[str, Any]:
    """Return ``value`` under a dotted key, nested like the file.

    >>> nested("mqtt.host", "broker")
    {'mqtt': {'host': 'broker'}}
    """
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class _Secret:
    """A value that is in a file, which is read only where no later source gives the key."""

    said_by: str
    path: Path

    def read(self) -> str:
        return _read_secret(self.said_by, self.path)


def _with_secrets(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given, with what is in files read."""
    return {
        key: _with_secrets(value) if isinstance(value, dict) else value.read() if isinstance(value, _Secret) else value
        for key, value in given.items()
    }


def _files_named(document: Mapping[str, Any], file: Path, before: str = "") -> dict[str, Any]:
    """Return a section of ``file`` with each ``key_file = "path"`` as the ``key`` that is in that file."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            found[key] = _files_named(value, file, f"{before}{key}.")
        elif before and key.endswith(FILE_SUFFIX) and isinstance(value, str):
            plain = key.removesuffix(FILE_SUFFIX)
            if plain in document:
                msg = f"configuration file {file}: {before}{key} and {before}{plain} are both set: leave one out"
                raise SettingsError(msg)
            found[plain] = _Secret(f"configuration key {before}{key}", file.parent / value)
        else:
            found[key] = value
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return _files_named(tomllib.loads(path.read_text(encoding="utf-8")), path)
    except OSError as error:
        msg = f"configuration file {path}: cannot be read ({error.strerror})"
        raise SettingsError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"configuration file {path}: is not TOML: {error}"
        raise SettingsError(msg) from error


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith(ENV_PREFIX):
            continue
        section, *key = name.removeprefix(ENV_PREFIX).lower().split(ENV_NESTING)
        if not key:
            if section == _SHARDS:
                found[_SHARDS] = value
            _refuse_single_underscore(name)
            continue
        dotted = ".".join((section, *key))
        if name.endswith(ENV_FILE_SUFFIX):
            secret = _read_secret(f"environment {name}", Path(value))
            _merge(found, nested(dotted.removesuffix(ENV_FILE_SUFFIX.lower()), secret))
        else:
            _merge(found, nested(dotted, value))
    return found


def _refuse_single_underscore(name: str) -> None:
    for section in Settings.model_fields:
        if section == _SHARDS:
            continue
        if name == ENV_PREFIX + section.upper():
            msg = f"environment {name}: is a section, not a value: name a key of it, as in {name}__KEY"
            raise SettingsError(msg)
        start = f"{ENV_PREFIX}{section.upper()}_"
        if name.startswith(start):
            msg = f"environment {name}: write two underscores: {start}_{name.removeprefix(start)}"
            raise SettingsError(msg)


def _read_secret(said_by: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{said_by}: {path} cannot be read ({error})"
        raise SettingsError(msg) from error


def _merge(into: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
