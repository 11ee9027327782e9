"""The stream: reads readings of a fleet and writes forecasts, in micro-batches of Spark Structured Streaming."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf
from pyspark.sql.streaming.query import StreamingQuery

from gapcast.app.models.models import load_models
from gapcast.config.sections.forecast import LearningSettings
from gapcast.config.settings import HistorySettings, Settings
from gapcast.core.errors import SettingsError
from gapcast_fleet.buckets.bucket import COUNTS, FORECAST, OUTPUT, Bucket
from gapcast_fleet.buckets.checkpoints import SPARK_FOLDER, open_checkpoint
from gapcast_fleet.connectors.sinks import Sink
from gapcast_fleet.engine.identity import identity_of
from gapcast_fleet.engine.worker import WorkerTask

#: Name of the query, and of the observation with the counts of a micro-batch.
OBSERVED = "gapcast"
#: Maximum number of readings of one device per micro-batch: two weeks, for a meter that catches up.
MOST_PER_DEVICE = 20_160
#: Default number of buckets, enough for the cores of one machine; each adds some milliseconds to a micro-batch.
DEFAULT_BUCKETS = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stream runs: its checkpoint, and when micro-batches start.

    They start every ``every_s``, or, with ``once``, until all available readings are processed. ``n_buckets`` is for a
    new checkpoint; for the rest see :class:`~gapcast_fleet.engine.worker.WorkerTask`.
    """

    checkpoint: Path
    every_s: float = 30.0
    once: bool = False
    n_buckets: int | None = None
    most_per_device: int = MOST_PER_DEVICE
    cached_devices: int = 100_000


def fleet_settings(settings: Settings) -> Settings:
    """Return the settings for workers: without broker secrets, with learning for all devices of a bucket.

    There are no outlooks and no refits. Raises :class:`SettingsError` if ``learning.refit`` is ``true``.
    """
    if settings.learning.refit is True:
        msg = 'learning.refit = true: gapcast-fleet does not refit: set it to "auto" or false'
        raise SettingsError(msg)
    return Settings(
        models=settings.models,
        state=settings.state,
        forecast=settings.forecast,
        learning=LearningSettings(max_devices=settings.devices.max, forgetting=settings.learning.forgetting)
        if settings.learning.max_devices
        else settings.learning,
        outlook=settings.outlook.model_copy(update={"enabled": False}),
        limits=settings.limits,
        devices=settings.devices,
        site=settings.site,
        history=HistorySettings(minutes=0, max_devices=0),
    )


def check_sources(settings: Settings, *, from_mqtt: bool) -> None:
    """Raise :class:`SettingsError` if readings from MQTT need ``[[sources]]``, which the fleet does not read."""
    if from_mqtt and settings.sources:
        msg = (
            "[[sources]]: gapcast-fleet does not read the meters' own messages: publish readings on topics.reading "
            f"({settings.topics.reading}), and remove [[sources]] from its configuration"
        )
        raise SettingsError(msg)


def ignored_sections(settings: Settings) -> Iterator[str]:
    """Yield a line for each section of ``settings`` that a gateway uses and the fleet does not."""
    if settings.demand.is_limited:
        yield "[demand] has no effect: gapcast-fleet forecasts no demand"
    if settings.submeters:
        yield "[[submeters]] have no effect: gapcast-fleet does not read them"


def start(settings: Settings, readings: DataFrame, sink: Sink, plan: Plan) -> StreamingQuery:
    """Start forecasting ``readings`` into ``sink``; resume from the checkpoint.

    ``readings`` has the columns of :mod:`gapcast_fleet.connectors.sources`. Raises :class:`SettingsError` if the
    checkpoint was created with other models or buckets.
    """
    settings = fleet_settings(settings)
    identity = identity_of(settings, load_models(settings))
    checkpoint = open_checkpoint(plan.checkpoint, identity, plan.n_buckets, DEFAULT_BUCKETS)
    query = str(plan.checkpoint.resolve())
    task = WorkerTask(query, settings.model_dump_json(), identity.text(), plan.most_per_device, plan.cached_devices)
    output = (
        readings.withColumn("bucket", _bucket(checkpoint.n_buckets))
        .groupBy("bucket")
        .transformWithStateInPandas(
            statefulProcessor=Bucket(task), outputStructType=OUTPUT, outputMode="Append", timeMode="None"
        )
    )
    observed = output.observe(
        OBSERVED,
        sf.count(sf.when(sf.col("kind") == FORECAST, True)).alias("forecasts"),
        *(sf.coalesce(sf.sum(f"n_{name}"), sf.lit(0)).alias(name) for name in COUNTS),
    )
    writer = observed.writeStream.foreachBatch(sink).option("checkpointLocation", str(plan.checkpoint / SPARK_FOLDER))
    when: dict[str, Any] = {"availableNow": True} if plan.once else {"processingTime": f"{plan.every_s} seconds"}
    return writer.trigger(**when).queryName(OBSERVED).start()


def _bucket(n_buckets: int) -> Column:
    """Return the bucket of a message by its device; a message without a device is rejected in any bucket."""
    key = sf.coalesce(sf.col("device").cast("binary"), sf.col("payload").cast("binary"))
    return sf.pmod(sf.crc32(key), sf.lit(n_buckets)).cast("int")
