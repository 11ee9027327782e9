"""``gapcast setup``: one option for each question."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from gapcast.config.files.secret_file import read_secret
from gapcast.config.loader import DEFAULT_FILE
from gapcast.core.errors import EXIT_ERROR, BrokerError, SettingsError
from gapcast.text.terminal_text import printable

#: Escape sequence: move to the beginning of the line and clear it.
_CLEAR = "\r\x1b[K"


@click.command(short_help="Detect the meter and write gapcast.toml.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_FILE,
    show_default=True,
    help="File to write; the password is written to mqtt-password in the same folder.",
)
@click.option("--broker", metavar="HOST[:PORT]", help="Address of the MQTT broker, e.g. 192.168.1.5:1883.")
@click.option("--username", metavar="NAME", help="User name at the broker.")
@click.option(
    "--password-file", type=click.Path(path_type=Path), metavar="FILE", help="File with the password for the broker."
)
@click.option(
    "--tls/--no-tls", default=None, help="Whether to use TLS (default: with --ca or --certificate, and on port 8883)."
)
@click.option("--ca", "ca_path", type=click.Path(path_type=Path), metavar="FILE", help="CA certificate of the broker.")
@click.option(
    "--certificate",
    "certificate_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Client certificate, for a broker that requires one.",
)
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Key of the client certificate, without a password (default: in the same file).",
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="TOPIC",
    help="Topic of the meter: a topic, a filter, or a pattern like tele/{device}/SENSOR. Repeat it for several meters.",
)
@click.option(
    "--preset",
    "preset_names",
    multiple=True,
    metavar="NAME",
    help="Preset for the meter (docs/meters.md). Repeat it for several meters; given once, it applies to each --topic.",
)
@click.option(
    "--value",
    "values",
    multiple=True,
    metavar="PATH",
    help="Path of the power value in the JSON payload, e.g. ENERGY.Power; give it once, or once for each meter.",
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    type=click.Choice(["W", "kW", "Wh", "kWh"], case_sensitive=False),
    help="Unit that the meter sends, Wh or kWh for an energy counter; give it once, or once for each meter.",
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="NAME",
    help="Name of the meter's device; for several meters once for each, in the same order.",
)
@click.option("--timezone", metavar="ZONE", help="IANA time zone, e.g. Europe/Paris (default: this machine's).")
@click.option("--home-assistant/--no-home-assistant", default=None, help="Enable Home Assistant discovery.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=70.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time to wait for the meter; 0: write without waiting.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing configuration.")
@click.option("--yes", is_flag=True, help="Do not ask questions (for scripts).")
def setup(
    broker: str | None,
    password_file: Path | None,
    tls: bool | None,
    ca_path: Path | None,
    certificate_path: Path | None,
    key_path: Path | None,
    topics: tuple[str, ...],
    preset_names: tuple[str, ...],
    values: tuple[str, ...],
    units: tuple[str, ...],
    yes: bool,
    **options: Any,
) -> None:
    """Create a configuration interactively: connect to the broker, detect the meter, and show its readings."""
    from gapcast.observability.logs import configure_logs
    from gapcast.setup.broker.broker_access import BrokerAccess
    from gapcast.setup.meters.preset_answers import PresetAnswers, meter_answers
    from gapcast.setup.prompts import InteractivePrompts, UnattendedPrompts
    from gapcast.setup.run import Setup

    configure_logs("auto", "critical")  # the command prints its own messages
    if not yes and not sys.stdin.isatty():
        msg = "gapcast setup asks questions: run it in a terminal, or answer them with options and pass --yes"
        raise SettingsError(msg)
    if key_path is not None and certificate_path is None:
        msg = f"--key {key_path}: is the key of a client certificate: add --certificate"
        raise SettingsError(msg)
    for option, path in (("--ca", ca_path), ("--certificate", certificate_path)):
        if path is not None:
            if tls is False:
                msg = f"{option} {path}: is for TLS, which --no-tls switches off: omit one of them"
                raise SettingsError(msg)
            tls = True  # without it a password would be sent in plain text
    meters = meter_answers(topics, preset_names, values, units)
    answers = PresetAnswers(
        broker=BrokerAccess.parse(broker or "localhost", tls=tls) if broker is not None or yes else None,
        password=_password_in(password_file) if password_file else None,
        ca_path=ca_path.absolute() if ca_path else None,
        certificate_path=certificate_path.absolute() if certificate_path else None,
        key_path=key_path.absolute() if key_path else None,
        tls=tls,
        meters=meters,
        **options,
    )
    prompts = UnattendedPrompts() if yes else InteractivePrompts()
    output = _Output()
    try:
        Setup(answers, prompts, output.show, output.progress, os.environ).run()
    except BrokerError as error:
        click.echo(f"gapcast: {printable(str(error))}", err=True)
        sys.exit(EXIT_ERROR)


class _Output:
    """Prints lines and, on a terminal, a progress line that the next line replaces."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._has_progress = False

    def show(self, text: str) -> None:
        shown = printable(text)  # it may contain topics and payloads from anyone at the broker
        click.echo(f"{_CLEAR}{shown}" if self._has_progress else shown)
        self._has_progress = False

    def progress(self, text: str) -> None:
        if self._is_terminal:
            click.echo(f"{_CLEAR}  {text}", nl=False)
            self._has_progress = True


def _password_in(file: Path) -> str:
    password = read_secret("--password-file", file)
    if not password:
        msg = f"--password-file: {file} is empty"
        raise SettingsError(msg)
    return password
