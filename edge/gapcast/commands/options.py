"""Options shared by commands: the configuration file, and keys set on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gapcast.config.loader import load, nested
from gapcast.config.settings import Settings


def settings_options(command: Any) -> Any:
    """Add to ``command`` the options ``config`` and ``assignments`` for :func:`read_settings`."""
    for option in (
        click.option(
            "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one key, e.g. mqtt.host=broker."
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="Configuration file (default: gapcast.toml, if it exists).",
        ),
    ):
        command = option(command)
    return command


def read_settings(config: Path | None, assignments: tuple[str, ...]) -> Settings:
    """Return the settings from file, environment and command line."""
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or ("." not in key and key != "shards"):
            msg = f"{assignment!r} must be KEY=VALUE with a key like mqtt.host"
            raise click.BadParameter(msg, param_hint="--set")
        if key == "shards":
            overrides[key] = value
            continue
        section, _, rest = key.partition(".")
        overrides.setdefault(section, {}).update(nested(rest, value))
    return load(config, os.environ, overrides)


def arguments_of(config: Path | None, assignments: tuple[str, ...]) -> list[str]:
    """Return the command-line arguments that :func:`settings_options` parses to these values.

    >>> arguments_of(Path("my.toml"), ("http.port=8090",))
    ['--config', 'my.toml', '--set', 'http.port=8090']
    """
    arguments = [] if config is None else ["--config", str(config)]
    return arguments + [word for assignment in assignments for word in ("--set", assignment)]
