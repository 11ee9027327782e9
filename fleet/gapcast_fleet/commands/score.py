"""The command ``gapcast-fleet score``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from gapcast.commands.options import read_settings, settings_options
from gapcast_fleet.commands.options import spark_options


@click.command(short_help="Forecast the readings of many meters in micro-batches.")
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
    help="Number of state buckets; fixed for a checkpoint.  [default: 64, or that of the checkpoint]",
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
    help="Devices cached in memory per Python worker between micro-batches, some 22 kB each.",
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
    from gapcast_fleet.connectors.mqtt_client import in_flight_remarks
    from gapcast_fleet.connectors.mqtt_sink import to_mqtt
    from gapcast_fleet.connectors.mqtt_source import from_mqtt
    from gapcast_fleet.connectors.planned_files import missing_file_lines
    from gapcast_fleet.connectors.sinks import check_output, to_files, to_kafka
    from gapcast_fleet.connectors.sources import from_files, from_kafka, require_input
    from gapcast_fleet.output_folders import check_outside, make_output_folder
    from gapcast_fleet.scoring.query_run import run_until_stopped
    from gapcast_fleet.scoring.score import Plan, check_sources, ignored_sections, start
    from gapcast_fleet.spark import session

    if once and source == "mqtt":
        msg = "an MQTT source does not end: omit --once, and stop by SIGTERM"
        raise click.BadParameter(msg, param_hint="--once")
    settings = read_settings(config, assignments)
    check_sources(settings, from_mqtt=source == "mqtt")
    remarks = in_flight_remarks(settings.mqtt) if source == "mqtt" else ()
    _show_on_stderr((*ignored_sections(settings), *remarks))
    file_format = of_source["file_format"]
    is_local = target not in {"mqtt", "kafka"} and ":" not in target  # no address of another file system, as hdfs:/
    if source not in {"mqtt", "kafka"}:
        for option, folder in (("--checkpoint", checkpoint), *([("--to", Path(target))] if is_local else [])):
            check_outside(Path(source), option, folder)
        require_input(Path(source), file_format)
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
            if is_local:
                make_output_folder("--to", Path(target))
        spark = session("gapcast-fleet score", conf)
        if source == "kafka":
            readings = from_kafka(spark, kafka_options)
        elif source == "mqtt":
            readings = from_mqtt(spark, config, assignments, checkpoint, of_source["client_id"])
        else:
            _show_on_stderr(missing_file_lines(checkpoint))
            readings = from_files(spark, Path(source), file_format, of_source["files_at_once"])
        run_until_stopped(spark, lambda: start(settings, readings, sink, plan), click.echo)


def _show_on_stderr(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


def _pairs(option: str, assignments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            msg = f"{assignment!r} must be KEY=VALUE"
            raise click.BadParameter(msg, param_hint=option)
        yield key, value
