"""The stream: readings of a fleet in, forecasts out, by micro-batches of Spark Structured Streaming."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf
from pyspark.sql.streaming.query import StreamingQuery

from gapcast.app.models import load_models
from gapcast.config.settings import HistorySettings, LearningSettings, Settings
from gapcast_fleet.bucket import COUNTS, FORECAST, OUTPUT, Bucket
from gapcast_fleet.checkpoints import open_checkpoint
from gapcast_fleet.identity import identity_of
from gapcast_fleet.sinks import Sink
from gapcast_fleet.worker import WorkerTask

#: The counts of a micro-batch, as Spark tells them of its progress.
OBSERVED = "gapcast"
#: So many readings of one device are taken from a micro-batch: two weeks that a meter catches up on.
MOST_PER_DEVICE = 20_160
#: Enough for the cores of one machine; each takes some milliseconds of a micro-batch for itself.
DEFAULT_BUCKETS = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stream is run: where it keeps its state, and when micro-batches are made.

    Each ``every_s``, or, where ``once``, until what there is has been read. ``n_buckets`` is for a new checkpoint;
    the rest as in :class:`~gapcast_fleet.worker.WorkerTask`.
    """

    checkpoint: Path
    every_s: float = 30.0
    once: bool = False
    n_buckets: int | None = None
    most_per_device: int = MOST_PER_DEVICE
    cached_devices: int = 100_000


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


def start(settings: Settings, readings: DataFrame, sink: Sink, plan: Plan) -> StreamingQuery:
    """Start to forecast ``readings`` (of :mod:`gapcast_fleet.sources`) into ``sink``, from where the checkpoint ends.

    Raises :class:`SettingsError` where that was begun by other models or buckets.
    """
    settings = fleet_settings(settings)
    identity = identity_of(settings, load_models(settings))
    checkpoint = open_checkpoint(plan.checkpoint, identity, plan.n_buckets, DEFAULT_BUCKETS)
    query = str(plan.checkpoint.resolve())
    task = WorkerTask(query, settings.model_dump_json(), identity.text(), plan.most_per_device, plan.cached_devices)
    told = (
        readings.withColumn("bucket", _bucket(checkpoint.n_buckets))
        .groupBy("bucket")
        .transformWithStateInPandas(
            statefulProcessor=Bucket(task), outputStructType=OUTPUT, outputMode="Append", timeMode="None"
        )
    )
    observed = told.observe(
        OBSERVED,
        sf.count(sf.when(sf.col("kind") == FORECAST, True)).alias("forecasts"),
        *(sf.coalesce(sf.sum(f"n_{name}"), sf.lit(0)).alias(name) for name in COUNTS),
    )
    writer = observed.writeStream.foreachBatch(sink).option("checkpointLocation", str(plan.checkpoint / "spark"))
    when: dict[str, Any] = {"availableNow": True} if plan.once else {"processingTime": f"{plan.every_s} seconds"}
    return writer.trigger(**when).queryName(OBSERVED).start()


def _bucket(n_buckets: int) -> Column:
    """Return the bucket of a message: that of its device; one without a device is refused, in any."""
    whose = sf.coalesce(sf.col("device").cast("binary"), sf.col("payload").cast("binary"))
    return sf.pmod(sf.crc32(whose), sf.lit(n_buckets)).cast("int")
