"""Sources of readings, all with the same columns: device, payload, time of arrival, and order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from gapcast.core.errors import SettingsError
from gapcast_fleet.failures import REPLACE_IN_PLACE, microseconds_required, worker_error

FileFormat = Literal["json", "parquet"]
_NEEDED = ("device", "gap_kw")
#: Spark skips files whose modification time is older than that of the newest file by more than this (default: 7 days).
_MAX_FILE_AGE = "36500d"


def require_input(folder: Path, file_format: FileFormat) -> None:
    """Raise :class:`SettingsError` if ``folder`` does not exist, or has no Parquet to determine the columns."""
    if not folder.is_dir():
        msg = f"--from {folder}: no such folder"
        raise SettingsError(msg)
    if file_format == "parquet" and next(folder.rglob("*.parquet"), None) is None:
        msg = f"--from {folder}: contains no .parquet file yet: one is needed to determine the columns"
        raise SettingsError(msg)


def from_files(spark: SparkSession, folder: Path, file_format: FileFormat, files_at_once: int) -> DataFrame:
    """Return the readings of the files in ``folder``, existing and future ones.

    A line of JSON, or a row of Parquet, is ``{"device": …, "ts": …, "gap_kw": …}``; blank lines are skipped. Readings
    of one device are ordered by the modification time of their file, its name, and their position in it. Files of any
    age are read. Raises :class:`SettingsError` if the folder does not exist, or its Parquet lacks columns, and
    :class:`~gapcast.core.errors.SourceError` if its times are in nanoseconds.
    """
    require_input(folder, file_format)
    reader = spark.readStream.option("maxFilesPerTrigger", files_at_once).option("recursiveFileLookup", "true")
    reader = reader.option("maxFileAge", _MAX_FILE_AGE)
    if file_format == "json":
        rows = reader.format("text").load(str(folder)).where(sf.col("value").rlike(r"\S"))
        device, payload = sf.get_json_object("value", "$.device"), sf.col("value")
    else:
        schema = _schema_of(spark, folder)
        rows = reader.schema(schema).parquet(str(folder))
        device, payload = sf.col("device"), _as_json(schema)
    messages = rows.select(
        _text(device).alias("device"),
        payload.cast("binary").alias("payload"),  # any bytes: in a text column they would end the stream
        sf.lit(None).cast("long").alias("received_ms"),
        sf.lit(False).alias("redelivered"),
        sf.unix_millis("_metadata.file_modification_time").alias("at"),
        sf.col("_metadata.file_path").alias("file"),
        sf.col("_metadata.file_block_start").alias("block"),
        *([sf.col("_metadata.row_index").alias("place")] if file_format == "parquet" else []),
    )
    if file_format == "parquet":
        return messages
    place = st.StructField("place", st.LongType())  # Spark gives no line numbers
    return messages.mapInArrow(_numbered, st.StructType([*messages.schema.fields, place]))


def from_kafka(spark: SparkSession, options: Mapping[str, str]) -> DataFrame:
    """Return the readings of a Kafka topic: the record's key is the device, its value the payload, as over MQTT.

    ``options`` are options of Spark's connector, which must be on the class path. A device's readings must be in one
    partition, as they are if the key determines it.

    Raises :class:`SettingsError` if the connector is missing.
    """
    with worker_error():
        rows = spark.readStream.format("kafka").options(**options).load()
    return rows.select(
        _text(sf.col("key")).alias("device"),
        sf.col("value").alias("payload"),
        sf.unix_millis("timestamp").alias("received_ms"),
        sf.lit(False).alias("redelivered"),
        sf.col("partition").cast("long").alias("at"),
        sf.lit("").alias("file"),
        sf.lit(0).cast("long").alias("block"),
        sf.col("offset").alias("place"),
    )


def _text(column: Column) -> Column:
    """Return ``column`` as text that Python can read: Spark does not check that a text is UTF-8."""
    return sf.make_valid_utf8(column.cast("string"))


def _numbered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a task with their index, in the order of its files."""
    n = 0
    for batch in batches:
        yield batch.append_column("place", pa.array(range(n, n + len(batch)), type=pa.int64()))
        n += len(batch)


def _schema_of(spark: SparkSession, folder: Path) -> st.StructType:
    with worker_error(REPLACE_IN_PLACE), microseconds_required(folder):
        schema = spark.read.option("recursiveFileLookup", "true").parquet(str(folder)).schema
    missing = [name for name in (*_NEEDED, "ts") if name not in schema.names]
    if missing:
        msg = f"--from {folder}: has no column {missing[0]} among {', '.join(schema.names)}"
        raise SettingsError(msg)
    return schema


def _as_json(schema: st.StructType) -> Column:
    """Return a row as the JSON of a reading, so that all readings use the same decoder."""
    numeric = (st.NumericType,)
    columns = [_time(schema["ts"].dataType).alias("ts")]
    for field in schema.fields:
        if field.name == "filled" and isinstance(field.dataType, (st.BooleanType, *numeric)):
            is_filled = sf.col("filled").cast("boolean")
            columns.append(sf.when(is_filled, is_filled).alias("filled"))  # absent unless it is true
        elif field.name not in {"device", "ts"} and isinstance(field.dataType, numeric):
            columns.append(sf.col(field.name).cast("double").alias(field.name))
    return sf.to_json(sf.struct(*columns))


def _time(kind: st.DataType) -> Column:
    ts = sf.col("ts")
    if isinstance(kind, st.TimestampNTZType):
        ts = ts.cast("timestamp")
    return sf.unix_millis(ts) if isinstance(kind, (st.TimestampType, st.TimestampNTZType)) else ts
