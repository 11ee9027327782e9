"""Reads the files of several houses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gapcast.recordings.formats import clean_file
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.recording import read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast_trainer.errors import RunError
from gapcast_trainer.synthetic_houses.csv_file import HEADER, TIME_COLUMN, VALUE_COLUMN

_RECOGNIZED = FileFormat()
_PARQUET_BEGINS = b"PAR1"


def read_houses(paths: Sequence[Path], form: FileFormat = _RECOGNIZED) -> dict[str, CleanFile]:
    """Return the readings of each file, by the file's name without its extensions.

    Files are Parquet of ``prepare``, CSV of ``synthesize``, or in the format ``form``: any CSV with its columns, or,
    without a layout, UCI's set and exports of Home Assistant and InfluxDB. Raises :class:`RunError` if two files have
    the same name, or the same readings (a house would be scored twice, and fitted to its own scored minutes as
    "another" house), and :class:`~gapcast.core.errors.SourceError` for a file that cannot be used.
    """
    houses: dict[str, CleanFile] = {}
    for path in paths:
        name = path.name.split(".")[0]
        if name in houses:
            msg = f"{path}: another house is called {name} too; rename one of the files"
            raise RunError(msg)
        found = _read(path, form)
        if same := next((other for other, its in houses.items() if its.sha256 == found.sha256), None):
            msg = f"{path}: has the same readings as house {same}: leave one of them out"
            raise RunError(msg)
        houses[name] = found
    return houses


def _read(path: Path, form: FileFormat) -> CleanFile:
    with path.open("rb") as stream:
        begin = stream.read(len(HEADER))
    if begin == HEADER.encode():
        form = FileFormat(Layout(TIME_COLUMN, VALUE_COLUMN))
    elif begin.startswith(_PARQUET_BEGINS):
        form = _RECOGNIZED
    found = read_recording(path, form)
    series = found.series if form.zone is None else replace(found.series, zone=form.zone)
    return CleanFile(series, found.report, clean_file.content_sha256(series), path.absolute())
