"""The command ``gapcast-fleet``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from gapcast.commands.options import read_settings, settings_options
from gapcast.core.errors import GapcastError, ModelError
from gapcast.observability.logs import configure_logs
from gapcast_fleet.options import format_of, history_options, spark_options
from gapcast_fleet.prepare_command import prepare

EXIT_BAD_INPUT, EXIT_BAD_MODEL = 2, 3
_NEEDED = frozenset({"pandas", "pyarrow", "pyspark", "google"})


class _Group(click.Group):
    """Converts gapcast's own errors, also those of workers, to a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GapcastError as error:
            click.echo(f"gapcast-fleet: {error}", err=True)
            sys.exit(EXIT_BAD_MODEL if isinstance(error, ModelError) else EXIT_BAD_INPUT)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in _NEEDED:
                raise
            fix = "pip install '.[fleet]' in the checkout"
            click.echo(f"gapcast-fleet: {error.name} is not installed: {fix}", err=True)
            sys.exit(EXIT_BAD_INPUT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gapcast")
def main() -> None:
    """Forecasts for a fleet of meters on Apache Spark, with the same engine as the gateway."""
    configure_logs("auto", "warning")


@main.command(short_help="Forecast the readings of many meters in micro-batches.")
@settings_options
@spark_options
@click.option("--from", "source", required=True, metavar="FOLDER|mqtt|kafka", help="Source of the readings.")
@click.option("--to", "target", required=True, metavar="FOLDER|mqtt|kafka", help="Sink of the forecasts.")
@click.option("--checkpoint", type=click.Path(path_type=Path), required=True, help="Folder of the checkpoint.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["json", "parquet"]),
    default="json",
    show_default=True,
    help="Format of the readings in a folder.",
)
@click.option("--to-format", type=click.Choice(["json", "parquet"]), help="Output format (default: that of --format).")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between the starts of two micro-batches.",
)
@click.option("--once", is_flag=True, help="Stop when all available readings are processed.")
@click.option(
    "--buckets",
    "n_buckets",
    type=click.IntRange(1, 65_536),
    metavar="N",
    help="Number of state buckets; fixed for a checkpoint.",
)
@click.option(
    "--files-at-once",
    type=click.IntRange(min=1),
    metavar="N",
    default=16,
    show_default=True,
    help="Files per micro-batch.",
)
@click.option(
    "--cached-devices",
    type=click.IntRange(min=0),
    default=100_000,
    show_default=True,
    metavar="N",
    help="Devices cached in memory per Python worker between micro-batches, about 15 kB each.",
)
@click.option(
    "--client-id",
    default="gapcast-fleet",
    show_default=True,
    metavar="NAME",
    help="MQTT client id of the persistent session.",
)
@click.option("--kafka", "kafka", multiple=True, metavar="KEY=VALUE", help="Option of Spark's Kafka connector.")
@click.option(
    "--kafka-topics",
    nargs=2,
    default=("gapcast-forecasts", "gapcast-rejected"),
    show_default=True,
    metavar="TOPIC TOPIC",
    help="Topics of forecasts and of rejected messages.",
)
def score(
    config: Path | None,
    assignments: tuple[str, ...],
    conf: tuple[str, ...],
    source: str,
    target: str,
    checkpoint: Path,
    every_s: float,
    once: bool,
    n_buckets: int | None,
    kafka: tuple[str, ...],
    **of_source: Any,
) -> None:
    """Forecast the readings of many meters in micro-batches; resume from the checkpoint."""
    from gapcast_fleet.buckets.checkpoints import lock_checkpoint
    from gapcast_fleet.connectors.mqtt_sink import to_mqtt
    from gapcast_fleet.connectors.mqtt_source import from_mqtt
    from gapcast_fleet.connectors.sinks import check_output, to_files, to_kafka
    from gapcast_fleet.connectors.sources import from_files, from_kafka
    from gapcast_fleet.scoring.query_run import run_until_stopped
    from gapcast_fleet.scoring.score import Plan, start
    from gapcast_fleet.spark import session

    if once and source == "mqtt":
        msg = "an MQTT source does not end: omit --once, and stop by SIGTERM"
        raise click.BadParameter(msg, param_hint="--once")
    settings = read_settings(config, assignments)
    file_format = of_source["file_format"]
    kafka_options = dict(_pairs("--kafka", kafka))
    if target == "mqtt":
        sink = to_mqtt(settings)
    elif target == "kafka":
        sink = to_kafka(kafka_options, *of_source["kafka_topics"])
    else:
        sink = to_files(Path(target), of_source["to_format"] or file_format)
    plan = Plan(checkpoint, every_s, once, n_buckets, cached_devices=of_source["cached_devices"])
    with lock_checkpoint(checkpoint):
        if target not in {"mqtt", "kafka"}:
            check_output(Path(target), checkpoint)
        spark = session("gapcast-fleet score", conf)
        if source == "kafka":
            readings = from_kafka(spark, kafka_options)
        elif source == "mqtt":
            readings = from_mqtt(spark, config, assignments, checkpoint, of_source["client_id"])
        else:
            readings = from_files(spark, Path(source), file_format, of_source["files_at_once"])
        run_until_stopped(spark, lambda: start(settings, readings, sink, plan), click.echo)


def _pairs(option: str, assignments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            msg = f"{assignment!r} must be KEY=VALUE"
            raise click.BadParameter(msg, param_hint=option)
        yield key, value


@main.command(short_help="Score the forecasts for the history of many houses.")
@settings_options
@spark_options
@history_options
@click.option("--results", type=click.Path(path_type=Path), required=True, help="Folder of the results.")
@click.option(
    "--start", metavar="ISO", help="Start with the readings from this time on (in --timezone without an offset)."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read at most N readings of each house.")
@click.option(
    "--score-from", metavar="ISO", help="Score only forecasts made from this time on; learn from the readings before."
)
@click.option(
    "--houses-at-once",
    type=click.IntRange(min=1),
    metavar="N",
    default=100,
    show_default=True,
    help="Houses per engine.",
)
@click.option(
    "--horizons",
    metavar="MINUTES",
    help="Score the outlook too: at these lead times, 1 to 60 minutes, such as 5,15,30,60.",
)
@click.option(
    "--outlook", is_flag=True, help="Write each outlook at the lead times of --horizons, a CSV file per group."
)
def backtest(
    folder: Path,
    config: Path | None,
    assignments: tuple[str, ...],
    conf: tuple[str, ...],
    results: Path,
    houses_at_once: int,
    start: str | None,
    limit: int | None,
    score_from: str | None,
    horizons: str | None,
    outlook: bool,
    **of_files: Any,
) -> None:
    """Run the engine over the history of many houses on all cores and score its forecasts; resume from RESULTS.

    FOLDER_OF_PARQUET holds rows with a house, a time and a power, in any number of files, or files of
    `gapcast-trainer prepare`. Samples are averaged over each minute.
    """
    from gapcast.backtest.horizons import parse_horizons
    from gapcast.backtest.houses import FilePart
    from gapcast_fleet.backtest.backtest import BacktestOptions, lines, run_backtest
    from gapcast_fleet.backtest.groups import GroupOutlook
    from gapcast_fleet.spark import session

    if outlook and horizons is None:
        msg = "--outlook needs the lead times to write: add --horizons, such as --horizons 15,30,60"
        raise click.UsageError(msg)
    scored = None if horizons is None else GroupOutlook(parse_horizons(horizons), is_written=outlook)
    settings = read_settings(config, assignments)
    form = format_of(of_files, settings.site.zone)
    options = BacktestOptions(folder, form, FilePart(start, limit, score_from, form.zone), houses_at_once, scored)
    spark = session("gapcast-fleet backtest", conf)
    try:
        for line in lines(run_backtest(spark, settings, options, results, show=partial(click.echo, err=True))):
            click.echo(line)
    finally:
        spark.stop()


main.add_command(prepare)
