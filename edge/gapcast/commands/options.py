"""Options shared by commands: the configuration file, and keys set on the command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any, cast

import click

from gapcast.config.loader import LISTS, load, merge_sections, nested
from gapcast.config.settings import Settings
from gapcast.recordings.options import file_options
from gapcast.recordings.text.layout import FileFormat, FileOptions, file_format, with_submeters


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


def readings_options(verb: str) -> Callable[[Any], Any]:
    """Return a decorator that adds the options of a file of readings; ``verb`` begins the help of ``--submeters``."""

    def decorated(command: Any) -> Any:
        for option in (
            click.option(
                "--submeter-column",
                "submeter_columns",
                multiple=True,
                metavar="NAME",
                help="Column with the power of a submeter, in the unit of --value-column; can be repeated.",
            ),
            click.option("--submeters", is_flag=True, help=f"{verb} the three submeters of UCI's set too."),
            file_options("site.timezone"),
        ):
            command = option(command)
        return command

    return decorated


def read_settings(config: Path | None, assignments: tuple[str, ...]) -> Settings:
    """Return the settings from file, environment and command line."""
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not all(key.split(".")) or ("." not in key and key not in LISTS):
            msg = f"{assignment!r} must be KEY=VALUE with a key like mqtt.host"
            raise click.BadParameter(msg, param_hint="--set")
        merge_sections(overrides, nested(key, _parse_value(value)))
    return load(config, os.environ, overrides)


def _parse_value(value: str) -> object:
    """Return the list or text if ``value`` is one in TOML, else ``value`` itself, which may be a list with commas.

    >>> _parse_value('["linear", "lstm-5-3"]'), _parse_value("[]"), _parse_value("linear,lstm-5-3")
    (['linear', 'lstm-5-3'], [], 'linear,lstm-5-3')
    >>> _parse_value('"broker"'), _parse_value('"linear", "lstm-5-3"')
    ('broker', '"linear", "lstm-5-3"')
    """
    if not value.startswith(("[", '"', "'")):
        return value
    try:
        # In a list, so that a comment, such as the end of a password, is an error.
        values = tomllib.loads(f"values = [{value}]")["values"]
    except tomllib.TOMLDecodeError:
        return value
    return values[0] if len(values) == 1 else value


def arguments_of(config: Path | None, assignments: tuple[str, ...]) -> list[str]:
    """Return the command-line arguments that :func:`settings_options` parses to these values.

    >>> arguments_of(Path("my.toml"), ("http.port=8090",))
    ['--config', 'my.toml', '--set', 'http.port=8090']
    """
    arguments = [] if config is None else ["--config", str(config)]
    return arguments + [word for assignment in assignments for word in ("--set", assignment)]


def read_format(options: dict[str, Any], settings: Settings) -> tuple[FileFormat, tzinfo]:
    """Return the format of a file from the options of :func:`readings_options`, and the zone of its times.

    The unit defaults to kW, as for a reading.
    """
    zone = options["zone"] or settings.site.zone
    form = file_format(cast("FileOptions", {**options, "zone": zone}), default_unit="kW")
    return with_submeters(form, options["submeter_columns"], of_uci=options["submeters"]), zone


def with_zone(settings: Settings, zone: tzinfo) -> Settings:
    """Return ``settings`` with the zone of the files' times as the house's zone, unless ``site.timezone`` is set."""
    if "timezone" in settings.site.model_fields_set:
        return settings
    return settings.model_copy(update={"site": settings.site.model_copy(update={"timezone": str(zone)})})


def show_file(line: str) -> None:
    """Print the description of a file, apart from the result."""
    click.echo(line, err=True)
