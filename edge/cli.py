"""The command ``gapcast``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import click

from edge.configuration import load, nested
from edge.core.errors import GapcastError, ModelError
from edge.settings import Settings

EXIT_BAD_INPUT, EXIT_BAD_MODEL = 2, 3


PORT = click.IntRange(1, 65_535)


class _Speed(click.ParamType[float | None]):
    """``max`` (None), or a number of times real time."""

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
        click.option(
            "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one key, e.g. mqtt.host=broker."
        ),
        click.option(
            "--config", type=click.Path(path_type=Path), help="Configuration file (default: gapcast.toml, if here)."
        ),
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
    """Run the service until SIGTERM or Ctrl-C; SIGHUP has it load the models again."""
    settings = read_settings(config, assignments)
    from edge.compose import Application  # noqa: PLC0415 - what --help does not need is not loaded for it
    from edge.telemetry import configure_logs  # noqa: PLC0415

    configure_logs(settings.log.format, settings.log.level)
    stopping = stop_on_signals()
    application = Application(settings, os.environ)
    reload_on_hangup(application.reload, stopping)
    application.run(stopping)


@main.command()
@click.option("--speed", type=SPEED, default="60", show_default=True, help="Times real time, or max.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End by itself.")
@click.option("--mqtt-port", type=PORT, default=1883, show_default=True, help="A free one is taken where this is not.")
@click.option("--http-port", type=PORT, default=8080, show_default=True, help="A free one is taken where this is not.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="warning")
def demo(speed: float | None, duration: float | None, mqtt_port: int, http_port: int, log_level: str) -> None:
    """See it work: an embedded broker, a real week replayed, the service, and what came of each forecast.

    Of the configuration it takes the models, the one that speaks, and the site's clock.
    """
    from edge.demo.run import DemoOptions, run_demo  # noqa: PLC0415
    from edge.telemetry import configure_logs  # noqa: PLC0415

    settings = read_settings(None, ())
    configure_logs("auto", log_level)
    run_demo(DemoOptions(speed, duration, mqtt_port, http_port), settings, click.echo, stop_on_signals())


@main.command()
@_settings_options
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--device", default="replay", show_default=True, help="Name to publish as.")
@click.option("--speed", type=SPEED, default="60", show_default=True, help="Times real time, or max.")
@click.option("--start", metavar="ISO", help="Begin with the first reading at or after this time (UTC if no offset).")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Publish at most N readings.")
@click.option("--time-column", metavar="NAME", help="Column of the time; without it the file is UCI's own.")
@click.option("--value-column", metavar="NAME", help="Column of the power.")
@click.option(
    "--unit",
    type=click.Choice(["W", "kW"], case_sensitive=False),
    default="kW",
    show_default=True,
    help="Unit of the power.",
)
def replay(
    file: Path, device: str, speed: float | None, config: Path | None, assignments: tuple[str, ...], **of_file: Any
) -> None:
    """Publish FILE (UCI's own, or any CSV by its columns) as a live meter would."""
    from edge.compose import transport_of  # noqa: PLC0415
    from edge.replay.command import replay_file  # noqa: PLC0415

    settings = read_settings(config, assignments)
    transport = transport_of(settings.mqtt)
    n_published = replay_file(settings, file, device, speed, stop_on_signals(), transport=transport, **of_file)
    click.echo(f"{n_published} readings published as {device}")


@main.command()
@_settings_options
def check(config: Path | None, assignments: tuple[str, ...]) -> None:
    """Read the configuration, self-test the models, reach the broker; say what is wrong."""
    from edge.check import run_checks  # noqa: PLC0415
    from edge.telemetry import configure_logs  # noqa: PLC0415

    configure_logs("auto", "critical")  # what is wrong is said in words of its own
    sys.exit(run_checks(read_settings(config, assignments), os.environ, click.echo))


@main.group(invoke_without_command=True)
@_settings_options
@click.pass_context
def models(ctx: click.Context, config: Path | None, assignments: tuple[str, ...]) -> None:
    """List the models that are there, with their scores; or change which there are."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = (config, assignments)
        return
    from edge.loading import load_models  # noqa: PLC0415

    loaded = load_models(read_settings(config, assignments))
    for card in loaded.cards:
        mark = "*" if card.name == loaded.speaking.name else " "
        own, of_persistence = card.scores.model, card.scores.persistence
        mae_kw, whose = (own.mae_kw, "") if own.mae_median_kw is None else (own.mae_median_kw, ", its median's")
        click.echo(
            f"{mark} {card.name:<12} {card.family:<10} {card.parameters:>6} parameters  {card.bytes / 1_000:>6.1f} kB  "
            f"MSE {own.mse_kw2:.4f} (same as now {of_persistence.mse_kw2:.4f})  "
            f"MAE {mae_kw:.4f} ({of_persistence.mae_kw:.4f}){whose}"
        )


def _library_options(command: Any) -> Any:
    option = click.option("--models", "folder", type=click.Path(path_type=Path), help="As --set models.path=PATH.")
    return _settings_options(option(command))


def _settings_of_library(
    ctx: click.Context, config: Path | None, assignments: tuple[str, ...], folder: Path | None
) -> Settings:
    """Return the settings by the options before and after the name of a command of ``models``."""
    config_before, assignments_before = ctx.obj
    named = () if folder is None else (f"models.path={folder.absolute()}",)
    return read_settings(config or config_before, (*assignments_before, *assignments, *named))


@models.command()
@_library_options
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--default", is_flag=True, help="Let it speak, unless forecast.model names another.")
@click.pass_context
def install(
    ctx: click.Context,
    file: Path,
    default: bool,
    config: Path | None,
    assignments: tuple[str, ...],
    folder: Path | None,
) -> None:
    """Check and self-test the model in FILE, and put it where a running gapcast takes it up.

    FILE is a folder, a .zip or a .tar.gz that holds model.tflite and card.json, or a .tflite with its card beside it.
    """
    from edge.loading import TAKEN, library_of  # noqa: PLC0415
    from edge.predictors.install import install as put  # noqa: PLC0415

    library = library_of(_settings_of_library(ctx, config, assignments, folder), os.environ)
    card = put(file, library, default=default, taken=TAKEN)
    click.echo(f"{card.name} {card.version} self-tested, and installed in {library.own / card.name}")


@models.command()
@_library_options
@click.argument("name")
@click.pass_context
def remove(
    ctx: click.Context, name: str, config: Path | None, assignments: tuple[str, ...], folder: Path | None
) -> None:
    """Take the installed model NAME away; one that it took the place of is there again."""
    from edge.loading import library_of  # noqa: PLC0415
    from edge.predictors.install import remove as take_out  # noqa: PLC0415

    settings = _settings_of_library(ctx, config, assignments, folder)
    library = library_of(settings, os.environ)
    remains = take_out(name, library, settings.forecast.model or library.default())
    click.echo(f"{name} removed" + (f"; the {name} that came with gapcast is there again" if remains else ""))


def stop_on_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def reload_on_hangup(reload: Callable[[], None], stopping: Event) -> None:
    """Have SIGHUP call ``reload``; but where it tells that our own terminal was closed, stop."""
    had_terminal = sys.stderr.isatty()

    def hung_up(*_: object) -> None:
        if had_terminal and not sys.stderr.isatty():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # a word to no one would be an error
            stopping.set()
        else:
            reload()

    signal.signal(signal.SIGHUP, hung_up)
