"""Reads the configuration: ``gapcast.toml``, then environment ``GAPCAST_…``, then command line.

The environment nests by two underscores: ``GAPCAST_MQTT__HOST`` is ``mqtt.host``. Any key may be read
from a file (a Docker secret, a systemd credential) with ``_FILE``: ``GAPCAST_MQTT__PASSWORD_FILE``; in
``gapcast.toml`` with ``_file``: ``password_file``, relative to the folder of ``gapcast.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gapcast.config.checks.validation_problem import first_problem
from gapcast.config.files.secret_file import read_secret
from gapcast.config.sections.section import tilde_problem
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError

FILE_SUFFIX = "_file"
ENV_PREFIX, ENV_NESTING, ENV_FILE_SUFFIX = "GAPCAST_", "__", "_FILE"
DEFAULT_FILE = Path("gapcast.toml")
_SHARDS = "shards"
LISTS = ("sources", "submeters", _SHARDS)  # keys, not sections
#: Error of the TOML parser for a section that occurs twice in the file.
_DECLARED_TWICE = re.compile(r"Cannot declare \((.*)\) twice")


def configuration_path(file: Path | None) -> Path | None:
    """Return the configuration file that :func:`load` reads: ``file``, or ``gapcast.toml`` here, if it exists."""
    return file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)


def load(file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """Read the settings: ``file`` (or ``gapcast.toml`` here, if it exists), environment, ``overrides``.

    ``overrides`` are nested like the file. Raises :class:`SettingsError` with the first unknown key, else the first
    invalid one, and its problem.
    """
    path = configuration_path(file)
    merged: dict[str, Any] = {}
    of_environment, of_empty_files = _read_environment(environment)
    for source in (of_empty_files, _read_toml(path) if path else {}, of_environment, overrides):
        merge_sections(merged, source)
    merged = _read_secrets(merged)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_problem_of(error, environment, overrides)) from error


def _problem_of(error: ValidationError, environment: Mapping[str, str], overrides: Mapping[str, Any]) -> str:
    """Return the first problem, after the name of the key or of the variable that sets it."""
    location, problem = first_problem(error, Settings)
    key = ".".join(location)
    variable = ENV_PREFIX + ENV_NESTING.join(location).upper()
    if variable in environment and not _has(overrides, location):
        return f"environment {variable}: {problem}"
    return f"configuration key {key}: {problem}" if key else f"configuration: {problem}"


def _has(values: Mapping[str, Any], location: Iterable[str]) -> bool:
    """Return whether ``values``, nested like the file, have the key at ``location``."""
    found: Any = values
    for part in location:
        if not isinstance(found, Mapping) or part not in found:
            return False
        found = found[part]
    return True


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
    """A value in a file, which is read only if no later source sets the key."""

    origin: str
    path: Path

    def read(self) -> str:
        return read_secret(self.origin, self.path)


def _read_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` with each secret read from its file."""
    return {
        key: _read_secrets(value) if isinstance(value, dict) else value.read() if isinstance(value, _Secret) else value
        for key, value in values.items()
    }


def _resolve_file_keys(document: Mapping[str, Any], file: Path, before: str = "") -> dict[str, Any]:
    """Return a section of ``file`` with each ``key_file = "path"`` replaced by ``key`` with the secret."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            found[key] = _resolve_file_keys(value, file, f"{before}{key}.")
        elif before and key.endswith(FILE_SUFFIX) and isinstance(value, str):
            plain = key.removesuffix(FILE_SUFFIX)
            if plain in document:
                msg = f"configuration file {file}: {before}{key} and {before}{plain} are both set: remove one of them"
                raise SettingsError(msg)
            origin = f"configuration key {before}{key}"
            _refuse_tilde(origin, value)
            found[plain] = _Secret(origin, file.parent / value)
        else:
            found[key] = value
    return found


def _refuse_tilde(origin: str, path: str) -> None:
    if problem := tilde_problem(path):
        msg = f"{origin}: {problem} (it is {path!r})"
        raise SettingsError(msg)


def _read_toml(path: Path) -> dict[str, Any]:
    _refuse_tilde("configuration file", str(path))
    try:
        return _resolve_file_keys(tomllib.loads(path.read_text(encoding="utf-8-sig")), path)
    except OSError as error:
        fix = ": correct --config, or create the file by gapcast setup" if isinstance(error, FileNotFoundError) else ""
        msg = f"configuration file {path}: cannot be read ({error.strerror}){fix}"
        raise SettingsError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"configuration file {path}: is not text in UTF-8: save it in that encoding"
        raise SettingsError(msg) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"configuration file {path}: is not TOML: {error}{_toml_fix(str(error))}"
        raise SettingsError(msg) from error
    except RecursionError as error:
        msg = f"configuration file {path}: is nested too deeply: remove nesting, which no key needs"
        raise SettingsError(msg) from error
    except ValueError as error:  # Python reads integers of up to 4,300 digits
        msg = f"configuration file {path}: has a number of thousands of digits: shorten it"
        raise SettingsError(msg) from error


def _toml_fix(problem: str) -> str:
    """Return the fix of a frequent TOML error, with a separator before it.

    >>> _toml_fix("Cannot declare ('http', 'tls') twice (at line 3, column 10)")
    '; merge its keys into the [http.tls] section that the file already has'
    >>> _toml_fix("Cannot overwrite a value (at line 3, column 9)")
    '; a key is set twice in this section: remove one'
    >>> _toml_fix("Unclosed array (at end of document)")
    ''
    """
    if problem.startswith(("Invalid value", "Expected newline")):  # enabled = yes, limit_kw = 2,5
        return '; write texts as "text", switches as true or false, and numbers with a decimal point'
    if problem.startswith("Cannot overwrite a value"):
        return "; a key is set twice in this section: remove one"
    if twice := _DECLARED_TWICE.match(problem):
        name = ".".join(re.findall(r"'([^']*)'", twice[1]))
        return f"; merge its keys into the [{name}] section that the file already has"
    return ""


def _read_environment(environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of ``environment``, and the values of empty files, which override nothing.

    The systemd unit names such a file if no password file is beside the configuration, which may contain the password.
    """
    found: dict[str, Any] = {}
    of_empty_files: dict[str, Any] = {}
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
        if not all((section, *key)):
            msg = f"environment {name}: is not the name of a key: write {ENV_PREFIX}SECTION{ENV_NESTING}KEY"
            raise SettingsError(msg)
        if name.endswith(ENV_FILE_SUFFIX):
            if not value:
                msg = f"environment {name}: is empty: name a file, or remove the variable"
                raise SettingsError(msg)
            _refuse_tilde(f"environment {name}", value)
            secret = read_secret(f"environment {name}", Path(value))
            if secret and environment.get(plain := name.removesuffix(ENV_FILE_SUFFIX)):
                msg = f"environment {name} and {plain} are both set: remove one of them"
                raise SettingsError(msg)
            key_of_file = dotted.removesuffix(ENV_FILE_SUFFIX.lower())
            merge_sections(found if secret else of_empty_files, nested(key_of_file, secret))
        else:
            merge_sections(found, nested(dotted, value))
    return found, of_empty_files


def _refuse_single_underscore(name: str) -> None:
    shards = ENV_PREFIX + _SHARDS.upper()
    if name.startswith(shards[:-1]) and name != shards:  # otherwise the worker would read all meters
        msg = f"environment {name}: is not the name of a key: write {shards}"
        raise SettingsError(msg)
    for section in set(Settings.model_fields) - {_SHARDS}:
        if name == ENV_PREFIX + section.upper():
            problem = f"is a section, not a value: name a key of it, as in {name}__KEY"
            if section in LISTS:
                problem = f"is a list of sections: write [[{section}]] in gapcast.toml, or --set '{section}=[{{…}}]'"
            msg = f"environment {name}: {problem}"
            raise SettingsError(msg)
        start = f"{ENV_PREFIX}{section.upper()}_"
        if name.startswith(start):
            msg = f"environment {name}: write two underscores: {start}_{name.removeprefix(start)}"
            raise SettingsError(msg)


def merge_sections(into: dict[str, Any], source: Mapping[str, Any], before: str = "") -> None:
    """Add the keys of ``source``, nested like the file, to ``into``; they override its keys.

    Raises :class:`SettingsError` if a section would replace a value that is not a section: ``[[mqtt]]`` in the file by
    ``mqtt.port`` on the command line. ``before`` are the names of the enclosing sections.
    """
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge_sections(into[key], value, f"{before}{key}.")
        elif isinstance(value, dict) and into.get(key) is not None:
            also = ".".join((f"{before}{key}", *map(str, list(value)[:1])))
            msg = (
                f"configuration key {before}{key}: is a value or a list, and conflicts with {also}: remove one of them"
            )
            raise SettingsError(msg)
        else:
            into[key] = value
