"""``gapcast status``: shows the status of a running service."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gapcast.commands.options import read_settings, settings_options
from gapcast.commands.run import stop_on_signals


@click.command(short_help="Show the status of a running service.")
@settings_options
@click.option("--url", metavar="URL", help="Base URL of the service (default: the one running on this machine).")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the bearer token of the service.")
@click.option("--once", is_flag=True, help="Print once and exit: 0 if ready, 1 if not, 2 if there is no response.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Refresh interval.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to wait for a response.",
)
def status(
    config: Path | None,
    assignments: tuple[str, ...],
    url: str | None,
    token_file: Path | None,
    once: bool,
    every_s: float,
    timeout_s: float,
) -> None:
    """Show the status of a running service: live on a terminal, once otherwise.

    Without --url, the command searches for a service on this machine: at the address of the configuration in the
    working directory, at the address that the service wrote to its state or runtime folder, and at the default port.
    At the address of the configuration it uses http.token, unless there is a --token-file.
    """
    from gapcast.status.display import show_once, watch
    from gapcast.status.rest_client import RestClient, read_token
    from gapcast.status.service_search import find_service

    given_token = read_token(token_file) if token_file else None

    def client(url: str, token: str | None) -> RestClient:
        return RestClient(url, given_token or token, timeout_s)

    if url is not None:
        rest = client(url, None)
    else:
        is_explicit = config is not None or any(one.startswith("http.") for one in assignments)
        rest = find_service(lambda: read_settings(config, assignments), os.environ, client, is_explicit=is_explicit)
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if once or not sys.stdout.isatty():
        sys.exit(show_once(rest, click.echo, colours=colours))
    watch(rest, lambda text: click.echo(text, nl=False), every_s, stop_on_signals(), colours=colours)
