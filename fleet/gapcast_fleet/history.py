"""Historical readings in Parquet: the houses, and the readings of each in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.grid import EARLIEST_MS, LATEST_MS, MINUTE_MS
from gapcast.core.reading import Limits

#: Larger numbers are epoch milliseconds, smaller ones epoch seconds.
_MILLISECONDS_FROM = 100_000_000_000
_KW_PER = {"kW": 1.0, "W": 0.001}


@dataclass(frozen=True, slots=True)
class ParquetColumns:
    """The columns with the house, the time and the power, and the unit of the power."""

    device: str = "device"
    time: str = "ts"
    value: str = "gap_kw"
    unit: Literal["W", "kW"] = "kW"


@dataclass(frozen=True, slots=True)
class FleetHouse:
    """A house of the history: its number of readings, and of unusable rows."""

    name: str
    n_readings: int
    n_refused: int


def read_history(
    spark: SparkSession, folder: Path, columns: ParquetColumns, limits: Limits, first_minute: int | None
) -> DataFrame:
    """Return the rows of all Parquet files under ``folder``: device, minute, gap_kw, usable, file and row.

    Rows without power are omitted. Rows without a house or a time, or with power outside ``limits``, are not
    ``usable``. Rows before ``first_minute`` are skipped. Raises :class:`SettingsError` if a column is missing.
    """
    if next(folder.rglob("*.parquet"), None) is None:
        raise SourceError(folder, "holds no .parquet")
    rows = spark.read.option("recursiveFileLookup", "true").parquet(str(folder))
    for option, name in (("device", columns.device), ("time", columns.time), ("value", columns.value)):
        if name not in rows.columns:
            msg = f"--{option}-column: there is no column {name!r} among {', '.join(rows.columns)}"
            raise SettingsError(msg)
    instant_ms = _instant_ms(columns.time, rows.schema[columns.time].dataType)
    kw = sf.col(columns.value).cast("double") * sf.lit(_KW_PER[columns.unit])
    found = rows.select(
        sf.col(columns.device).cast("string").alias("device"),
        sf.floor(instant_ms / sf.lit(MINUTE_MS)).cast("int").alias("minute"),
        kw.alias("gap_kw"),
        sf.coalesce(
            sf.col(columns.device).isNotNull()
            & instant_ms.between(EARLIEST_MS, LATEST_MS - 1)
            & kw.between(limits.min_kw, limits.max_kw),
            sf.lit(False),
        ).alias("usable"),
        sf.col("_metadata.file_path").alias("file"),
        sf.col("_metadata.row_index").alias("row"),
    ).where(kw.isNotNull() & ~sf.isnan(kw))
    return found if first_minute is None else found.where(~sf.col("usable") | (sf.col("minute") >= first_minute))


def houses_of(history: DataFrame) -> list[FleetHouse]:
    """Return the houses of ``history`` with readings, by name."""
    counts = history.groupBy("device").agg(
        sf.count(sf.when(sf.col("usable"), True)).alias("n"), sf.count(sf.when(~sf.col("usable"), True)).alias("bad")
    )
    return sorted(
        (FleetHouse(row.device, row.n, row.bad) for row in counts.collect() if row.n), key=lambda its: its.name
    )


def in_file_order(history: DataFrame, limit: int | None) -> DataFrame:
    """Return the usable readings, at most ``limit`` of each house, with their index in the house as column ``nth``.

    The order is by file name, then by row.
    """
    by_house = Window.partitionBy("device").orderBy("file", "row")
    placed = history.where("usable").withColumn("nth", sf.row_number().over(by_house))
    return placed if limit is None else placed.where(sf.col("nth") <= limit)


def _instant_ms(name: str, kind: st.DataType) -> Column:
    time = sf.col(name)
    if isinstance(kind, st.NumericType):
        return sf.when(sf.abs(time) >= _MILLISECONDS_FROM, time).otherwise(time * 1_000).cast("long")
    if isinstance(kind, st.StringType):
        return sf.unix_millis(sf.try_to_timestamp(time))
    return sf.unix_millis(time.cast("timestamp"))
