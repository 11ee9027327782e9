"""The clean file, which ``prepare`` writes and all later commands read.

Parquet, one row for each minute from the first reading to the last: ``time`` (UTC; in ms, since Parquet has no
seconds), ``gap_kw`` (null if missing) and the other measured features; ``filled`` (1 or 0) if any minute is. The file's
metadata holds the report, the time zone and a hash of the content; a file with a different hash is rejected, so that
every model records exactly the numbers to which it was fitted. The hash covers the numbers and a zone other than UTC:
it does not depend on the library that wrote them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64
from gapcast.core.errors import SourceError
from gapcast.core.time_grid import MINUTE_MS
from gapcast.core.windows.features import GAP, MEASURED
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.minutes.series import Series
from gapcast.text.install_command import install_command

TIME, FILLED = "time", "filled"
N = TypeVar("N", np.int64, np.float64)
METADATA = b"gapcast"
SCHEMA_VERSION = 1
UTC_NAME = str(UTC)
_FIX = "create it with `gapcast-trainer prepare`"


@dataclass(frozen=True, slots=True)
class CleanFile:
    """The content of a clean file: its series, its report, the hash of the numbers, and the path it was read from."""

    series: Series
    report: Report
    sha256: str
    path: Path


def read(path: Path) -> CleanFile:
    """Read a clean file.

    Raises :class:`SourceError` if it is missing, not a clean file, or altered, and if pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional on a gateway
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same
    except ImportError as error:
        fix = f"{install_command('parquet')} in the checkout, or use the CSV file that it was made from"
        raise SourceError(path, f"is Parquet, which needs pyarrow: {fix}") from error
    if not path.is_file():
        raise SourceError(path, f"is not there: {_FIX}")
    try:
        with pq.ParquetFile(path, memory_map=True) as file:  # `read_table` would import pandas
            table = file.read(use_threads=False)
        about = json.loads(table.schema.metadata[METADATA])
        digest, report = _report(about)
        series = _series(table, about.get("time_zone", UTC_NAME))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise SourceError(path, f"is not a clean file, or not the whole of one: {_FIX}") from error
    if content_sha256(series) != digest:
        raise SourceError(path, f"does not hold what was written to it: {_FIX}")
    return CleanFile(series, report, digest, path.absolute())


def content_sha256(series: Series) -> str:
    """Return the SHA-256 (hexadecimal) of a series' numbers: first minute, zone, and each column by name."""
    digest = hashlib.sha256(f"first_minute {series.first_minute}\n".encode())
    if (zone := str(series.zone)) != UTC_NAME:
        digest.update(f"time_zone {zone}\n".encode())
    for name, values in measured_columns(series).items():
        digest.update(f"{name} {values.size}\n".encode())
        digest.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
    return digest.hexdigest()


def measured_columns(series: Series) -> dict[str, F64]:
    """Return all columns by name: the columns of :data:`gapcast.core.windows.features.MEASURED`, then ``filled``."""
    columns: Mapping[str, F64] = {GAP: series.gap_kw, **series.extra}
    found = {name: columns[name] for name in MEASURED if name in columns}
    return found if series.filled is None else {**found, FILLED: series.filled.astype(np.float64)}


def _report(about: dict[str, Any]) -> tuple[str, Report]:
    fields = about["report"]
    return about["content_sha256"], Report(**fields | {"features": tuple(fields["features"])})


def _series(table: Any, zone: str) -> Series:
    minute_ms = _numbers(table, TIME, "timestamp[ms, tz=UTC]", np.int64)
    if (np.diff(minute_ms) != MINUTE_MS).any():
        msg = "a minute has no row"
        raise ValueError(msg)
    columns = {name: _numbers(table, name, "double", np.float64) for name in table.column_names if name != TIME}
    filled = columns.pop(FILLED, None)
    if unknown := columns.keys() - MEASURED.keys():
        msg = f"there is no measured feature {', '.join(unknown)}"
        raise ValueError(msg)
    gap_kw = columns.pop(GAP)
    return Series(
        int(minute_ms[0]) // MINUTE_MS,
        gap_kw,
        MappingProxyType(columns),
        None if filled is None else filled == 1,
        UTC if zone == UTC_NAME else ZoneInfo(zone),
    )


def _numbers(table: Any, name: str, kind: str, dtype: type[N]) -> NDArray[N]:
    """Return a column, NaN for null, from Arrow's buffers: ``to_numpy`` would import pandas, which takes a second."""
    column = table.column(name)
    if str(column.type) != kind:
        msg = f"{name} is {column.type}, not {kind}"
        raise ValueError(msg)
    parts = []
    for chunk in column.chunks:
        validity, data = chunk.buffers()
        rows = slice(chunk.offset, chunk.offset + len(chunk))
        part = np.frombuffer(data, dtype)[rows].copy()
        if chunk.null_count:
            valid = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[rows]
            part[valid == 0] = np.nan
        parts.append(part)
    return np.concatenate(parts)
