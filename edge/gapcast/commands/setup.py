"""``gapcast setup``: the options that answer its questions."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from gapcast.config.loader import DEFAULT_FILE
from gapcast.core.errors import BrokerError, SettingsError
from gapcast.terminal_text import printable

EXIT_NOTHING_HEARD = 1
#: To the beginning of the line, and nothing on it.
_CLEAR = "\r\x1b[K"


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_FILE,
    show_default=True,
    help="File to write; the password goes beside it, as mqtt-password.",
)
@click.option("--broker", metavar="HOST[:PORT]", help="The MQTT broker.")
@click.option("--username", metavar="NAME", help="Its account for gapcast.")
@click.option("--password-file", type=click.Path(path_type=Path), metavar="FILE", help="File with the password.")
@click.option("--tls/--no-tls", default=None, help="Whether the broker speaks TLS (default: on port 8883).")
@click.option("--ca", "ca_path", type=click.Path(path_type=Path), metavar="FILE", help="Authority of its certificate.")
@click.option("--topic", metavar="TOPIC", help="Where the meter sends: a topic, a filter, or as tele/{device}/SENSOR.")
@click.option("--preset", metavar="NAME", help="What the meter is (docs/meters.md).")
@click.option("--value", metavar="PATH", help="Where the power stands in its JSON, as ENERGY.Power.")
@click.option("--unit", type=click.Choice(["W", "kW"], case_sensitive=False), help="What the meter sends.")
@click.option("--device", metavar="NAME", help="Name of the device, where the topic has none.")
@click.option("--timezone", metavar="ZONE", help="As Europe/Paris (default: this machine's).")
@click.option("--home-assistant/--no-home-assistant", default=None, help="Show the forecasts there.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=70.0,
    show_default=True,
    metavar="SECONDS",
    help="Listen so long at most; 0: write without listening.",
)
@click.option("--overwrite", is_flag=True, help="Replace a configuration that is there.")
@click.option("--yes", is_flag=True, help="Ask nothing: for scripts.")
def setup(
    broker: str | None,
    username: str | None,
    password_file: Path | None,
    tls: bool | None,
    ca_path: Path | None,
    yes: bool,
    **options: Any,
) -> None:
    """Ask a few questions, listen for the meter, show what is read of it, and write the configuration."""
    from gapcast.observability.logs import configure_logs  # noqa: PLC0415
    from gapcast.presets import presets  # noqa: PLC0415 - what --help does not need is not loaded for it
    from gapcast.setup.asking import Nobody, Person  # noqa: PLC0415
    from gapcast.setup.connecting import Access  # noqa: PLC0415
    from gapcast.setup.given import Given  # noqa: PLC0415
    from gapcast.setup.run import Setup  # noqa: PLC0415

    configure_logs("auto", "critical")  # what is wrong is said in words of its own
    if not yes and not sys.stdin.isatty():
        msg = "gapcast setup asks questions: start it in a terminal, or answer them by options and say --yes"
        raise SettingsError(msg)
    if (preset := options["preset"]) is not None and preset not in presets():
        msg = f"--preset: there is no {preset!r}; there are {', '.join(sorted(presets()))}"
        raise SettingsError(msg)
    access = None
    if broker is not None or yes or username is not None:
        access = Access.parse(broker or "localhost", tls=tls)
        access.username, access.ca_path = username, ca_path.absolute() if ca_path else None
        access.password = _password_in(password_file) if password_file else None
    ask = Nobody() if yes else Person()
    told = _Told()
    try:
        Setup(Given(access=access, **options), ask, told.show, told.progress, os.environ).run()
    except BrokerError as error:
        click.echo(f"gapcast: {printable(str(error))}", err=True)
        sys.exit(EXIT_NOTHING_HEARD)


class _Told:
    """Lines, and on a terminal one that changes until the next line takes its place."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._changing = False

    def show(self, text: str) -> None:
        shown = printable(text)  # it may hold topics and payloads of anyone at the broker
        click.echo(f"{_CLEAR}{shown}" if self._changing else shown)
        self._changing = False

    def progress(self, text: str) -> None:
        if self._is_terminal:
            click.echo(f"{_CLEAR}  {text}", nl=False)
            self._changing = True


def _password_in(file: Path) -> str:
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--password-file: {file} cannot be read ({error})"
        raise SettingsError(msg) from error
    if not password:
        msg = f"--password-file: {file} is empty"
        raise SettingsError(msg)
    return password
