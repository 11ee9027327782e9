"""Statistics of a fleet's readings by house, before windows are cut."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as sf

from gapcast.core.grid import DAY_MIN


@dataclass(frozen=True, slots=True)
class HouseSurvey:
    """A house: its readings, one per minute, duplicates of a minute, and unusable rows.

    ``digest`` is a hash of its readings that does not depend on their order. Its last days, from ``validate_minute``
    on, hold the requested share of its readings.
    """

    name: str
    n_readings: int
    n_duplicates: int
    n_refused: int
    first_minute: int
    last_minute: int
    validate_minute: int
    digest: int


def one_a_minute(history: DataFrame) -> DataFrame:
    """Return the usable readings of ``history``; of several in one minute (``n_rows``) the first by file and row."""
    first = sf.min_by("gap_kw", sf.struct("file", "row"))
    return (
        history.where("usable")
        .groupBy("device", "minute")
        .agg(first.alias("gap_kw"), sf.count(sf.lit(1)).alias("n_rows"))
    )


def survey(history: DataFrame, readings: DataFrame, validate_share: float) -> list[HouseSurvey]:
    """Return the houses of ``history`` with readings, by name; ``readings`` are its :func:`one_a_minute`.

    Days are in UTC.
    """
    days = readings.groupBy("device", sf.floor(sf.col("minute") / DAY_MIN).cast("int").alias("day")).agg(
        sf.count(sf.lit(1)).alias("n"),
        sf.sum("n_rows").alias("n_rows"),
        sf.bit_xor(sf.xxhash64("minute", "gap_kw")).alias("digest"),
        sf.min("minute").alias("first"),
        sf.max("minute").alias("last"),
    )
    of_house = Window.partitionBy("device")
    from_its_end = of_house.orderBy(sf.desc("day")).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    enough = sf.sum("n").over(from_its_end) >= sf.lit(validate_share) * sf.sum("n").over(of_house)
    found = (
        days.withColumn("enough", enough)
        .groupBy("device")
        .agg(
            sf.sum("n").alias("n"),
            sf.sum("n_rows").alias("n_rows"),
            sf.bit_xor("digest").alias("digest"),
            sf.min("first").alias("first"),
            sf.max("last").alias("last"),
            sf.max(sf.when(sf.col("enough"), sf.col("day"))).alias("day"),
        )
    )
    refused = dict(history.where("NOT usable").groupBy("device").count().collect())
    return [
        HouseSurvey(
            row.device,
            row.n,
            row.n_rows - row.n,
            refused.get(row.device, 0),
            row.first,
            row.last,
            row.day * DAY_MIN,
            row.digest,
        )
        for row in sorted(found.collect(), key=lambda row: row.device)
    ]
