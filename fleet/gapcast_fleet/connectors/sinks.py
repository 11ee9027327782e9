"""Sinks of forecasts: files, one folder per micro-batch, and Kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from gapcast.core.documents.document_field import FieldType
from gapcast.core.errors import SettingsError
from gapcast.core.forecasts.forecast_fields import FIELDS
from gapcast_fleet.buckets.bucket import COUNTED, FORECAST
from gapcast_fleet.buckets.checkpoints import SPARK_FOLDER
from gapcast_fleet.failures import worker_error

FileFormat = Literal["json", "parquet"]
Sink = Callable[[DataFrame, int], None]

_SPARK_TYPES = {
    FieldType.INTEGER: "int",
    FieldType.NUMBER: "double",
    FieldType.TEXT: "string",
    FieldType.MINUTE: "timestamp",
    FieldType.INSTANT: "timestamp",
    FieldType.NUMBERS: "array<double>",
    FieldType.WEIGHTS: "map<string,double>",
}
#: Fields of the forecast without a column: Spark's rows already have the device.
_NO_COLUMNS = ("v", "device")
#: Parquet columns of a forecast, parsed from its JSON.
_FORECAST = ", ".join(f"{field.name} {_SPARK_TYPES[field.type]}" for field in FIELDS if field.name not in _NO_COLUMNS)


def check_output(folder: Path, checkpoint: Path) -> None:
    """Raise :class:`SettingsError` if ``folder`` has micro-batches but ``checkpoint`` is new.

    A new checkpoint numbers from 0 again, and its micro-batches would replace those of the same number.
    """
    is_new = next((checkpoint / SPARK_FOLDER / "offsets").glob("[0-9]*"), None) is None
    if is_new and (written := next(folder.glob("batch=*"), None)) is not None:
        msg = (
            f"--to {folder}: has forecasts of another checkpoint ({written.name}), which those of the new checkpoint "
            f"{checkpoint} would replace: use another folder"
        )
        raise SettingsError(msg)


def to_files(folder: Path, file_format: FileFormat) -> Sink:
    """Return a sink that writes ``folder/batch=N/kind=forecast`` and ``kind=rejected``.

    An interrupted batch is written again and replaces the first one, so that each forecast exists once.
    A file ``_SUCCESS`` marks a complete batch.
    """

    def write(batch: DataFrame, number: int) -> None:
        documents = batch.where(sf.col("kind") != COUNTED)
        if file_format == "json":
            writer = documents.select("kind", sf.col("document").alias("value")).write
        else:
            of_forecast = sf.when(sf.col("kind") == FORECAST, sf.from_json("document", _FORECAST))
            rejection = sf.when(sf.col("kind") != FORECAST, sf.col("document"))
            row = documents.select("kind", "device", of_forecast.alias("f"), rejection.alias("rejection"))
            writer = row.select("kind", "device", "f.*", "rejection").write
        target = writer.mode("overwrite").partitionBy("kind")
        path = str(folder / f"batch={number:09d}")
        target.text(path) if file_format == "json" else target.parquet(path)

    return write


def to_kafka(options: Mapping[str, str], forecasts_topic: str, rejected_topic: str) -> Sink:
    """Return a sink that sends one Kafka record per document, with the device as key.

    ``options`` are options of Spark's connector. An interrupted micro-batch is sent again.
    """

    def write(batch: DataFrame, _number: int) -> None:
        topic = sf.when(sf.col("kind") == FORECAST, forecasts_topic).otherwise(rejected_topic)
        records = batch.where(sf.col("kind") != COUNTED).select(
            topic.alias("topic"), sf.col("device").alias("key"), sf.col("document").alias("value")
        )
        with worker_error():
            records.write.format("kafka").options(**options).save()

    return write
