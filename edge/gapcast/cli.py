"""The command ``gapcast``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from gapcast.commands.addon import addon
from gapcast.commands.backtest import backtest
from gapcast.commands.import_history import import_history
from gapcast.commands.models import models
from gapcast.commands.options import (
    arguments_of,
    read_format,
    read_settings,
    readings_options,
    settings_options,
    show_file,
)
from gapcast.commands.run import serve, stop_on_signals
from gapcast.commands.setup import setup
from gapcast.commands.state import state
from gapcast.commands.status import status
from gapcast.commands.systemd_unit import systemd_unit
from gapcast.core.errors import GapcastError

PORT = click.IntRange(1, 65_535)


class _Speed(click.ParamType[float | None]):
    """A multiple of real time, or ``max`` (None)."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value in {None, "max"}:
            return None
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0 < speed < float("inf"):
            self.fail(f"{value!r} is neither a number above 0 nor max", param, ctx)
        return speed


SPEED = _Speed()


class _Group(click.Group):
    """Converts a :class:`GapcastError` to a message on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GapcastError as error:
            click.echo(f"gapcast: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gapcast")
def main() -> None:
    """Forecast the power of a household, on the gateway beside its meter.

    Start with setup, then check, then run.
    """


for one in (addon, backtest, import_history, models, setup, state, status, systemd_unit):
    main.add_command(one)


@main.command(short_help="Run the service until SIGTERM or Ctrl-C.")
@settings_options
@click.option("--of-worker", type=int, hidden=True, help="Process id of the worker that serves the other shards.")
def run(config: Path | None, assignments: tuple[str, ...], of_worker: int | None) -> None:
    """Run the service until SIGTERM or Ctrl-C; SIGHUP reloads the models.

    With `shards` configured, each shard runs in a process of its own.
    """
    from gapcast.app.worker import end_with, run_shards
    from gapcast.config.shards import settings_by_shard
    from gapcast.observability.logs import configure_logs

    settings, *others = settings_by_shard(read_settings(config, assignments))
    if others:
        configure_logs(settings.log.format, settings.log.level)
        sys.exit(run_shards([settings, *others], arguments_of(config, assignments)))
    if of_worker is not None:
        end_with(of_worker)
    serve(settings)


@main.command(short_help="Try gapcast with a recorded week and an embedded broker.")
@click.option("--speed", type=SPEED, default="60", show_default=True, help="Multiple of real time, or max.")
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop after this time (default: run until Ctrl-C).",
)
@click.option(
    "--mqtt-port",
    type=PORT,
    metavar="PORT",
    default=1883,
    show_default=True,
    help="Port of the broker; if it is in use, a free one.",
)
@click.option(
    "--http-port",
    type=PORT,
    metavar="PORT",
    default=8080,
    show_default=True,
    help="Port of REST; if it is in use, a free one.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Lowest level of the log lines to print.",
)
def demo(speed: float | None, duration: float | None, mqtt_port: int, http_port: int, log_level: str) -> None:
    """Run a demo: an embedded broker, a recorded week as a meter, and the service.

    The demo prints each forecast with its outcome. Of the configuration, only the sections [models], [forecast] and
    [site] are used.
    """
    from gapcast.demo.run import DemoOptions, run_demo
    from gapcast.observability.logs import configure_logs

    settings = read_settings(None, ())
    configure_logs("auto", log_level)
    run_demo(DemoOptions(speed, duration, mqtt_port, http_port), settings, click.echo, stop_on_signals())


@main.command(short_help="Publish a file of readings, or a bundled week, like a meter.")
@settings_options
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--device", metavar="NAME", default="replay", show_default=True, help="Device id to publish as.")
@click.option("--speed", type=SPEED, default="60", show_default=True, help="Multiple of real time, or max.")
@click.option(
    "--start",
    metavar="ISO",
    help="Start with the first reading from this time on (in --timezone without an offset).",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Publish at most N readings.")
@click.option(
    "--now",
    "is_present",
    is_flag=True,
    help="Move the file's times to the present: past readings at once, then one a minute.",
)
@readings_options("Publish")
def replay(
    file: Path | None,
    device: str,
    speed: float | None,
    start: str | None,
    limit: int | None,
    is_present: bool,
    config: Path | None,
    assignments: tuple[str, ...],
    **of_file: Any,
) -> None:
    """Publish the readings in FILE to the broker, like a live meter: one reading per minute.

    FILE is an export of Home Assistant or InfluxDB, a CSV file with --time-column and --value-column, a file in the
    format of UCI's household power data set, or Parquet from `gapcast-trainer prepare` (default: the bundled week).
    Samples are averaged over each minute. A submeter is published on the topic that [[submeters]] configures for it. A
    submeter that is not configured is published below the topic of the readings, such as gap/home/reading/kettle.
    """
    if is_present and click.get_current_context().get_parameter_source("speed") is ParameterSource.COMMANDLINE:
        msg = "--now publishes past readings at once, and one a minute from then on: leave out --speed"
        raise click.UsageError(msg)
    from gapcast.app.broker.broker import transport_of
    from gapcast.backtest.inputs.houses import FilePart
    from gapcast.commands.replay import ReplaySource, replay_file
    from gapcast.config.shards import single_shard_settings
    from gapcast.sample import sample_path

    settings = single_shard_settings(read_settings(config, assignments))
    transport = transport_of(settings.mqtt)
    form, zone = read_format(of_file, settings)
    source = ReplaySource(file or sample_path(), form, FilePart(start, limit, zone=zone), is_present)
    n_published = replay_file(settings, source, device, speed, stop_on_signals(), transport=transport, show=show_file)
    click.echo(f"{n_published} readings published as {device}")


@main.command(short_help="Check models, broker, readings, clocks, disk; print fixes.")
@settings_options
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for readings; a meter that sends once a minute needs 70.",
)
def check(config: Path | None, assignments: tuple[str, ...], wait_s: float) -> None:
    """Check configuration, models, broker, readings, clock, state and port; print each problem with its fix."""
    from gapcast.check.run import run_checks
    from gapcast.config.shards import settings_by_shard
    from gapcast.observability.logs import configure_logs

    configure_logs("auto", "critical")  # the command prints its own messages
    code = 0
    for settings in settings_by_shard(read_settings(config, assignments)):
        if settings.shards:
            click.echo(f"shard {settings.shards[0]}")
        found = run_checks(settings, os.environ, click.echo, wait_s)
        code = code or found
    sys.exit(code)
