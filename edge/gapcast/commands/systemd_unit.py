"""``gapcast systemd-unit``: the unit file for this installation."""

from __future__ import annotations

from pathlib import Path

import click

from gapcast.core.errors import SettingsError
from gapcast.systemd.unit import (
    DEFAULT_CONFIG,
    interpreter_paths,
    is_hidden,
    own_command,
    require_visible,
    unit,
)


@click.command(name="systemd-unit", short_help="Print a hardened systemd unit for this installation.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="Configuration of the service; the broker's password is in mqtt-password in the same folder.",
)
@click.option("--command", type=click.Path(path_type=Path), help="Path of the gapcast command (default: this one).")
def systemd_unit(config: Path, command: Path | None) -> None:
    """Print a hardened systemd unit for this installation, for /etc/systemd/system/gapcast.service.

    The service runs as a dynamic user with access to the network and its own state only.
    """
    if is_hidden(config):
        msg = f"--config: the service cannot read {config.absolute()}: put it, and mqtt-password, into /etc/gapcast"
        raise SettingsError(msg)
    if command is None:
        command = own_command()
        require_visible(command, interpreter_paths())
    else:
        require_visible(command)
    click.echo(unit(command, config.absolute()), nl=False)
