"""The stream: readings of a fleet in, forecasts out, by micro-batches of Spark Structured Streaming."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from edge.loading import load_models
from edge.settings import HistorySettings, LearningSettings, Settings
from fleet.bucket import COUNTS, FORECAST, OUTPUT, Bucket
from fleet.checkpoints import open_checkpoint
from fleet.identity import identity_of
from fleet.sinks import Sink
from fleet.worker import Task

#: The counts of a micro-batch, as Spark tells them of its progress.
OBSERVED = "gapcast"
#: So many readings of one device are taken from a micro-batch: two weeks that a meter catches up on.
MOST_PER_DEVICE = 20_160
DEFAULT_BUCKETS = 256


@dataclass(frozen=True, slots=True)
class Pace:
    """When micro-batches are made: each ``every_s``, or, where ``once``, until what there is has been read."""

    every_s: float = 30.0
    once: bool = False


def fleet_settings(settings: Settings) -> Settings:
    """Return what of ``settings`` a worker needs: no secret of a broker; all devices of a bucket are learnt from."""
    return Settings(
        models=settings.models,
        state=settings.state,
        forecast=settings.forecast,
        learning=LearningSettings(max_devices=settings.devices.max, forgetting=settings.learning.forgetting)
        if settings.learning.max_devices
        else settings.learning,
        limits=settings.limits,
        devices=settings.devices,
        site=settings.site,
        history=HistorySettings(minutes=0, max_devices=0),
    )


def start(
    settings: Settings,
    readings: DataFrame,
    sink: Sink,
    checkpoint: Path,
    pace: Pace,
    *,
    n_buckets: int | None = None,
    most_per_device: int = MOST_PER_DEVICE,
    cached_devices: int = 200_000,
) -> StreamingQuery:
    """Start to forecast ``readings`` (of :mod:`fleet.sources`) into ``sink``, from where ``checkpoint`` ends.

    Raises :class:`SettingsError` where that was begun by other models or buckets.
    """
    settings = fleet_settings(settings)
    identity = identity_of(settings, load_models(settings))
    kept = open_checkpoint(checkpoint, identity, n_buckets, DEFAULT_BUCKETS)
    task = Task(
        str(checkpoint.resolve()), settings.model_dump_json(), identity.text(), most_per_device, cached_devices
    )
    bucket = F.pmod(F.crc32(F.coalesce(F.col("device").cast("binary"), F.col("payload").cast("binary"))), F.lit(kept.n_buckets))
    told = (
        readings.withColumn("bucket", bucket.cast("int"))
        .groupBy("bucket")
        .transformWithStateInPandas(
            statefulProcessor=Bucket(task), outputStructType=OUTPUT, outputMode="Append", timeMode="None"
        )
    )
    observed = told.observe(
        OBSERVED,
        F.count(F.when(F.col("kind") == FORECAST, True)).alias("forecasts"),
        *(F.coalesce(F.sum(f"n_{name}"), F.lit(0)).alias(name) for name in COUNTS),
    )
    writer = observed.writeStream.foreachBatch(sink).option("checkpointLocation", str(checkpoint / "spark"))
    writer = writer.trigger(availableNow=True) if pace.once else writer.trigger(processingTime=f"{pace.every_s} seconds")
    return writer.queryName(OBSERVED).start()


