"""Writes the clean file of ``prepare``; :mod:`gapcast.recordings.formats.clean_file` describes and reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gapcast.core.errors import SourceError
from gapcast.core.time_grid import MINUTE_MS
from gapcast.recordings.formats.clean_file import METADATA, SCHEMA_VERSION, TIME, content_sha256, measured_columns
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.files import atomic_path


def write(series: Series, report: Report, path: Path) -> None:
    """Write the clean file atomically; raise :class:`SourceError` if it cannot be written."""
    import pyarrow as pa  # noqa: PLC0415 - not needed for `--help`
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    minute_ms = (series.first_minute + np.arange(series.gap_kw.size)) * MINUTE_MS
    columns = {TIME: pa.array(minute_ms, pa.timestamp("ms", "UTC"))}
    columns |= {name: pa.array(values, from_pandas=True) for name, values in measured_columns(series).items()}
    about = {
        "version": SCHEMA_VERSION,
        "content_sha256": content_sha256(series),
        "time_zone": str(series.zone),
        "report": asdict(report),
    }
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(about)})
    with writing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield the temporary path of :func:`atomic_path`; raise :class:`SourceError` on write errors."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)  # pyarrow's own text is long and less clear
        raise SourceError(path, f"cannot be written ({reason}); the previous file is unchanged") from error
