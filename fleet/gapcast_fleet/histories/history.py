"""Historical readings in Parquet, read by the rules of :mod:`gapcast.recordings`: the minutes of each house."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from gapcast.backtest.inputs.houses import FilePart, name_houses
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.readings.reading import Limits
from gapcast.core.windows.features import GAP, MEASURED
from gapcast.recordings.formats.clean_file import FILLED, TIME
from gapcast.recordings.text.fields import MISSING, energy_problem, power_unit
from gapcast.recordings.text.layout import Unit
from gapcast.recordings.text.timestamps import EPOCH_NUMBER, EPOCH_UNITS_FROM
from gapcast_fleet.failures import microseconds_required, worker_error
from gapcast_fleet.histories.footers import ColumnTypes, check_present, check_types, column_types
from gapcast_fleet.histories.house_reader import MINUTES, HouseRules, house_reader
from gapcast_fleet.histories.survey import HouseSurvey, lines

_DEVICE, _TIMES = "device", ("ts", TIME)
#: Spark writes the address of a local file with one slash or with three.
_FILE_SCHEME = "^file:/+"


@dataclass(frozen=True, slots=True)
class ParquetFormat:
    """The format of rows: the columns of house, time and power, and the other settings of a CSV file's layout.

    ``device`` None: the column ``device``, or each file is a house of `gapcast-trainer prepare` and names it. ``time``
    None: ``ts`` or ``time``. ``unit`` None: the unit at the end of the column's name, or kW.
    """

    device: str | None = None
    time: str | None = None
    value: str = GAP
    unit: Unit | None = None
    time_format: str | None = None
    zone: tzinfo = UTC
    hold_min: float | None = None

    def document(self) -> dict[str, str]:
        """Return the settings that are not None, as texts."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}


class FleetHistory(NamedTuple):
    """The ``minutes`` of all houses (columns device, nth, minute, gap_kw, is_filled), and how they were read.

    ``form`` has the columns and the unit that were found; ``surveys`` are by name, including houses without readings.
    """

    minutes: DataFrame
    form: ParquetFormat
    surveys: list[HouseSurvey]
    source: str

    @property
    def houses(self) -> list[HouseSurvey]:
        """The houses with readings."""
        return [its for its in self.surveys if its.n_readings]

    def lines(self) -> Iterator[str]:
        """Yield the summary of what was read, for a terminal."""
        return lines(self.source, self.surveys, self.form.zone)


@contextmanager
def read_history(  # noqa: PLR0913 - the last ones by keyword
    spark: SparkSession,
    folder: Path,
    form: ParquetFormat,
    limits: Limits,
    *,
    part: FilePart | None = None,
    validate_share: float = 0.1,
    show: Callable[[str], object] = lambda _: None,
) -> Iterator[FleetHistory]:
    """Read ``part`` of each house (default: all) of all Parquet files under ``folder``.

    The minutes are on the workers' disks while the context is open. ``validate_share`` is for the surveys. ``show`` is
    called with a summary. Raises :class:`SettingsError` if a column is missing, and :class:`SourceError` if the files
    cannot be read, differ in the types of their columns, or hold no reading.
    """
    show(f"reading {folder}")
    files = column_types(folder)
    rows = _parquet(spark, folder, files)
    form = _with_columns(rows, form)
    used = [name for name in (form.device, form.time, form.value) if name is not None]
    check_present(files, used)
    check_types(files, used)
    if problem := energy_problem(form.value):
        raise SettingsError(problem)
    unit, unit_label = power_unit(form.value, form.unit, "kW") or ("kW", "kW")
    form = replace(form, unit=unit)
    time, time_kind = _time(rows, str(form.time))
    kind = rows.schema[str(form.time)].dataType
    rules = HouseRules(
        unit,
        limits,
        form.zone,
        time_kind,
        form.time_format if isinstance(kind, st.StringType) else None,
        form.hold_min,
        None if part is None else part.first_minute,
        None if part is None else part.limit,
        validate_share,
    )
    device = sf.lit(None) if form.device is None else sf.col(form.device)
    path = sf.regexp_replace("_metadata.file_path", _FILE_SCHEME, "file:/")
    placed = rows.select(
        # Spark does not check that a text is UTF-8, as Python requires; two replaced names could be equal.
        sf.try_validate_utf8(device.cast("string")).alias("device"),
        time.alias("time"),
        _power(rows, form.value).alias("power"),
        path.alias("path"),
        sf.col("_metadata.row_index").alias("row"),
        _filled(rows, form).alias("filled"),
    ).join(sf.broadcast(_files(spark, rows, is_house=form.device is None)), "path", "left")
    name = sf.coalesce("device", "house", sf.lit("")).alias("device")
    named = placed.select(name, "file", "row", "time", "power", "filled")
    minutes = named.groupBy("device").applyInArrow(house_reader(rules), MINUTES).persist(StorageLevel.DISK_ONLY)
    try:
        with worker_error():
            found = minutes.where(sf.col("survey").isNotNull()).select("survey").collect()
        surveys = sorted((HouseSurvey(**json.loads(row.survey)) for row in found), key=lambda its: its.name)
        houses = "each file is a house" if form.device is None else f"houses by column {form.device}"
        source = f"{folder}, {houses}, column {form.value} ({unit_label})"
        readings = minutes.where(sf.col("minute").isNotNull()).select("device", "nth", "minute", "gap_kw", "is_filled")
        history = FleetHistory(readings, form, surveys, source)
        for line in history.lines():
            show(line)
        if not history.houses:
            raise SourceError(folder, "holds no reading")
        yield history
    finally:
        minutes.unpersist()


def _parquet(spark: SparkSession, folder: Path, files: Mapping[Path, ColumnTypes]) -> DataFrame:
    reader = spark.read.option("recursiveFileLookup", "true")
    with microseconds_required(folder):
        rows = reader.parquet(str(folder))
        if not _are_clean(rows.columns):
            return rows
        # Only files with filled minutes have a column for them, and Spark takes the columns of one file.
        check_types(files, sorted({name for types in files.values() for name in types}))
        return reader.option("mergeSchema", "true").parquet(str(folder))


def _are_clean(names: Sequence[str]) -> bool:
    """Return whether ``names`` are the columns of files of `gapcast-trainer prepare`."""
    return {TIME, GAP} <= {*names} <= {TIME, FILLED, *MEASURED}


def _with_columns(rows: DataFrame, form: ParquetFormat) -> ParquetFormat:
    """Return ``form`` with the columns of ``rows``; without ``device`` if each file is a house."""
    names = rows.columns
    time = form.time or next((name for name in _TIMES if name in names), _TIMES[0])
    device: str | None = form.device or _DEVICE
    if form.device is None and _are_clean(names):
        device = None
    for option, name in (("device", device), ("time", time), ("value", form.value)):
        if name is not None and name not in names:
            msg = f"--{option}-column: there is no column {name!r} among {', '.join(names)}"
            raise SettingsError(msg)
    return replace(form, device=device, time=time)


def _files(spark: SparkSession, rows: DataFrame, *, is_house: bool) -> DataFrame:
    """Return the path of each file, its number in the order of the paths, and its house's name if it is a house."""
    paths = sorted(rows.inputFiles())
    houses = name_houses([Path(unquote(path)) for path in paths]) if is_house else [None] * len(paths)
    numbered = [(path, number, house) for number, (path, house) in enumerate(zip(paths, houses, strict=True))]
    files = spark.createDataFrame(numbered, "path string, file int, house string")
    return files.withColumn("path", sf.regexp_replace("path", _FILE_SCHEME, "file:/"))


def _time(rows: DataFrame, name: str) -> tuple[Column, str]:
    """Return the times as epoch ms with their kind, or as texts with the kind ""."""
    time, kind = sf.col(name), rows.schema[name].dataType
    if isinstance(kind, st.NumericType):
        number = time.cast("double")
        instant_ms = number * 1_000
        for least, unit_ms in reversed(EPOCH_UNITS_FROM):
            instant_ms = sf.when(number >= least, number * unit_ms).otherwise(instant_ms)
        return instant_ms, EPOCH_NUMBER
    if isinstance(kind, st.TimestampType):
        return sf.unix_millis(time).cast("double"), "a time in UTC"
    if isinstance(kind, (st.TimestampNTZType, st.DateType, st.StringType)):
        return sf.make_valid_utf8(time.cast("string")), ""
    msg = f"--time-column: column {name!r} is a {kind.simpleString()}, not a timestamp, a number or a text"
    raise SettingsError(msg)


def _filled(rows: DataFrame, form: ParquetFormat) -> Column:
    """Return 1 for a filled minute of a file of `gapcast-trainer prepare`, else 0 or null."""
    return sf.col(FILLED) if form.device is None and FILLED in rows.columns else sf.lit(None).cast("double")


def _power(rows: DataFrame, name: str) -> Column:
    """Return the power: null where it is missing, infinite (out of range) where a text is not a number."""
    power, kind = sf.col(name), rows.schema[name].dataType
    if isinstance(kind, st.NumericType):
        return power.cast("double")
    if isinstance(kind, st.StringType):
        text = sf.trim(power)
        number = sf.coalesce(text.try_cast("double"), sf.lit(float("inf")))
        return sf.when(power.isNull() | text.isin(*MISSING), None).otherwise(number)
    msg = f"--value-column: column {name!r} is a {kind.simpleString()}, not a number"
    raise SettingsError(msg)
