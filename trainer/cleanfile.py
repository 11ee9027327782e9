"""The clean file: what ``prepare`` writes and everything after it reads.

A CSV of ``minute`` (RFC 3339, UTC) and ``gap_kw`` (kW), one row a reading, in order; a minute that is
missing has no row. Beside it lies its report, ``<name>.report.json``, with the hashes of both the
published text and the clean file: a file that is not the one its report describes is refused, so that
every model knows the very bytes it was fitted to.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edge.core.window import I64
from trainer.clean import Report, Series
from trainer.datasets.table import F64
from trainer.errors import DatasetError
from trainer.files import sha256_of, whole, write_whole

COLUMNS = ("minute", "gap_kw")
_MINUTE_S = 60
_ROWS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class Clean:
    """A clean file as it was read: its series, its report, and its own hash."""

    series: Series
    report: Report
    sha256: str


def report_path(clean: Path) -> Path:
    """Return where the report of a clean file lies."""
    return clean.with_name(f"{clean.stem}.report.json")


def write(series: Series, report: Report, path: Path, *, progress: bool = False) -> None:
    """Write the clean file and its report, each whole or not at all."""
    at = np.flatnonzero(~np.isnan(series.gap_kw))
    with whole(path) as temporary:
        with (
            temporary.open("w", encoding="ascii", newline="\n") as stream,
            tqdm(total=at.size, unit="row", unit_scale=True, desc=f"writing {path.name}", disable=not progress) as bar,
        ):
            stream.write(",".join(COLUMNS) + "\n")
            for first in range(0, at.size, _ROWS_AT_ONCE):
                rows = at[first : first + _ROWS_AT_ONCE]
                stream.write(_as_csv(series.first_minute + rows, series.gap_kw[rows]))
                bar.update(rows.size)
        digest = sha256_of(temporary)
    write_whole(report_path(path), json.dumps({**asdict(report), "clean_sha256": digest}, indent=2) + "\n")


def read(path: Path) -> Clean:
    """Read a clean file and its report.

    Raises :class:`DatasetError` where either is missing or the file is not the one the report describes.
    """
    again = "make it with `gapcast-trainer prepare`"
    beside = report_path(path)
    for needed in (path, beside):
        if not needed.is_file():
            raise DatasetError(needed, f"is not there: {again}")
    try:
        fields = json.loads(beside.read_bytes())
        digest = fields.pop("clean_sha256")
        report = Report(**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(beside, f"is no report of a clean file: {again}") from error
    if sha256_of(path) != digest:
        raise DatasetError(path, f"is not the file that {beside.name} describes: {again}")

    import pandas as pd  # noqa: PLC0415 - `--help` and `prepare` do without it

    rows = pd.read_csv(path, parse_dates=[COLUMNS[0]], date_format="%Y-%m-%dT%H:%M:%SZ")
    second = rows[COLUMNS[0]].to_numpy().astype("datetime64[s]").astype(np.int64)
    minute = second // _MINUTE_S
    gap_kw = np.full(int(minute[-1] - minute[0]) + 1, np.nan)
    gap_kw[minute - minute[0]] = rows[COLUMNS[1]].to_numpy(np.float64)
    return Clean(Series(int(minute[0]), gap_kw), report, digest)


def _as_csv(minute: I64, gap_kw: F64) -> str:
    labels = np.datetime_as_string(minute.astype("datetime64[m]"), unit="s")
    text = StringIO()
    text.writelines(f"{label}Z,{value!r}\n" for label, value in zip(labels, gap_kw.tolist(), strict=True))
    return text.getvalue()
