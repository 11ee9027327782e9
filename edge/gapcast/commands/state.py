"""``gapcast state``: changes the stored state of a stopped gateway."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gapcast.commands.options import read_settings, settings_options


@click.group(short_help="Rename a device in the state of a stopped gateway.")
def state() -> None:
    """Change the stored state of a stopped gateway."""


@state.command(short_help="Give a device another name.")
@settings_options
@click.argument("old")
@click.argument("new")
def rename(old: str, new: str, config: Path | None, assignments: tuple[str, ...]) -> None:
    """Give the device OLD the name NEW: it keeps its window, learned state, scores, plan and limits.

    Stop the service first, and change the configuration and the topics of the meter afterwards.
    """
    from gapcast.config.shards import single_shard_settings
    from gapcast.history_import.device_rename import keys_of, rename_device
    from gapcast.observability.logs import configure_logs

    settings = single_shard_settings(read_settings(config, assignments))
    configure_logs("auto", "warning")
    folder = rename_device(settings, os.environ, old, new)
    click.echo(f"{old} is now {new}, in {folder}.")
    if keys := keys_of(settings, old):
        click.echo(f"Change the device in {', '.join(keys)}: otherwise {new} starts without these keys.")
    click.echo(f"Let the meter be read as {new}, and start the service: it continues from here.")
