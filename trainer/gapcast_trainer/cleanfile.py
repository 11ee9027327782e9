"""The clean file, which ``prepare`` writes and all later commands read.

Parquet, one row for each minute from the first reading to the last: ``time`` (UTC; in ms, since Parquet has no
seconds), ``gap_kw`` (null if missing) and the other measured features. The file's metadata holds the report and
a hash of the content; a file with a different hash is rejected, so that every model records exactly the numbers that it
was fitted to. The hash covers only the numbers: it does not depend on the library that wrote them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gapcast.core.features import GAP, MEASURED
from gapcast.core.grid import MINUTE_MS
from gapcast_trainer.clean import Report, Series
from gapcast_trainer.datasets.table import F64
from gapcast_trainer.errors import DatasetError
from gapcast_trainer.files import atomic_path

TIME = "time"
N = TypeVar("N", np.int64, np.float64)
_METADATA = b"gapcast"
_SCHEMA_VERSION = 1
_REMEDY = "create it with `gapcast-trainer prepare`"


@dataclass(frozen=True, slots=True)
class Clean:
    """The content of a clean file: its series, its report, and the hash of the numbers."""

    series: Series
    report: Report
    sha256: str


def write(series: Series, report: Report, path: Path) -> None:
    """Write the clean file atomically; raise :class:`DatasetError` if it cannot be written."""
    import pyarrow as pa  # noqa: PLC0415 - not needed for `--help`
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    minute_ms = (series.first_minute + np.arange(series.gap_kw.size)) * MINUTE_MS
    columns = {TIME: pa.array(minute_ms, pa.timestamp("ms", "UTC"))}
    columns |= {name: pa.array(values, from_pandas=True) for name, values in _measured(series).items()}
    about = {"version": _SCHEMA_VERSION, "content_sha256": content_sha256(series), "report": asdict(report)}
    table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(about)})
    with writing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(path: Path) -> Clean:
    """Read a clean file.

    Raises :class:`DatasetError` if it is missing, not a clean file, or altered.
    """
    import pyarrow as pa  # noqa: PLC0415 - not needed for `--help`
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    if not path.is_file():
        raise DatasetError(path, f"is not there: {_REMEDY}")
    try:
        with pq.ParquetFile(path, memory_map=True) as file:  # `read_table` would import pandas
            table = file.read(use_threads=False)
        about = json.loads(table.schema.metadata[_METADATA])
        digest, report = _report(about)
        series = _series(table)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DatasetError(path, f"is no clean file, or not the whole of one: {_REMEDY}") from error
    if content_sha256(series) != digest:
        raise DatasetError(path, f"does not hold what was written to it: {_REMEDY}")
    return Clean(series, report, digest)


def content_sha256(series: Series) -> str:
    """Return the SHA-256, in hexadecimal, of a series' numbers: its first minute, and each column by its name."""
    digest = hashlib.sha256(f"first_minute {series.first_minute}\n".encode())
    for name, values in _measured(series).items():
        digest.update(f"{name} {values.size}\n".encode())
        digest.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
    return digest.hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield the temporary path of :func:`atomic_path`; raise :class:`DatasetError` on write errors."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # pyarrow's own text is long and less clear
        raise DatasetError(path, f"cannot be written ({reason}); the previous file is unchanged") from error


def _measured(series: Series) -> dict[str, F64]:
    """Return all columns of a series by name, in the order of :data:`gapcast.core.features.MEASURED`."""
    columns: Mapping[str, F64] = {GAP: series.gap_kw, **series.extra}
    return {name: columns[name] for name in MEASURED if name in columns}


def _report(about: dict[str, Any]) -> tuple[str, Report]:
    fields = about["report"]
    return about["content_sha256"], Report(**fields | {"features": tuple(fields["features"])})


def _series(table: Any) -> Series:
    minute_ms = _numbers(table, TIME, "timestamp[ms, tz=UTC]", np.int64)
    if (np.diff(minute_ms) != MINUTE_MS).any():
        msg = "a minute has no row"
        raise ValueError(msg)
    columns = {name: _numbers(table, name, "double", np.float64) for name in table.column_names if name != TIME}
    if unknown := columns.keys() - MEASURED.keys():
        msg = f"there is no measured feature {', '.join(unknown)}"
        raise ValueError(msg)
    gap_kw = columns.pop(GAP)
    return Series(int(minute_ms[0]) // MINUTE_MS, gap_kw, MappingProxyType(columns))


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
