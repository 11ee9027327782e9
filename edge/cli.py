"""The command ``gapcast``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Any

import click

from edge.core.errors import GapcastError, ModelError
from edge.settings import Settings, load, nested

EXIT_BAD_INPUT, EXIT_BAD_MODEL = 2, 3


class _Group(click.Group):
    """Turns the errors that gapcast raises on purpose into a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GapcastError as error:
            click.echo(f"gapcast: {error}", err=True)
            sys.exit(EXIT_BAD_MODEL if isinstance(error, ModelError) else EXIT_BAD_INPUT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gapcast")
def main() -> None:
    """Five-minute-ahead forecasts of household power, at the edge."""


def _settings_options(command: Any) -> Any:
    for option in (
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one key, e.g. mqtt.host=broker."),
        click.option("--config", type=click.Path(path_type=Path), help="Configuration file (default: gapcast.toml, if here)."),
    ):
        command = option(command)
    return command


def read_settings(config: Path | None, assignments: tuple[str, ...]) -> Settings:
    """Return the settings of file, environment and command line."""
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or "." not in key:
            msg = f"{assignment!r} must be KEY=VALUE with a key like mqtt.host"
            raise click.BadParameter(msg, param_hint="--set")
        section, _, rest = key.partition(".")
        overrides.setdefault(section, {}).update(nested(rest, value))
    return load(config, os.environ, overrides)


@main.command()
@_settings_options
def run(config: Path | None, assignments: tuple[str, ...]) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    settings = read_settings(config, assignments)
    from edge.compose import Application  # noqa: PLC0415 - what --help does not need is not loaded for it
    from edge.telemetry import configure_logs  # noqa: PLC0415

    configure_logs(settings.log.format, settings.log.level)
    stopping = stop_on_signals()
    Application(settings, os.environ).run(stopping)


def stop_on_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
