"""Reads the files of several houses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gapcast.recordings import clean_file
from gapcast.recordings.clean_file import Clean
from gapcast.recordings.layout import FileFormat, Layout
from gapcast.recordings.recording import read_recording
from gapcast_trainer.errors import RunError
from gapcast_trainer.synthetic_houses.csv_file import HEADER, TIME_COLUMN, VALUE_COLUMN


def read_houses(paths: Sequence[Path]) -> dict[str, Clean]:
    """Return the readings of each file, by the file's name without its extensions.

    Files are Parquet of ``prepare``, CSV of ``synthesize``, UCI's set, or exports of Home Assistant and InfluxDB.
    Raises :class:`RunError` if two have one name, and :class:`~gapcast.core.errors.SourceError` for a file that cannot
    be used.
    """
    houses: dict[str, Clean] = {}
    for path in paths:
        name = path.name.split(".")[0]
        if name in houses:
            msg = f"{path}: another house is called {name} too; rename one of the files"
            raise RunError(msg)
        houses[name] = _read(path)
    return houses


def _read(path: Path) -> Clean:
    with path.open("rb") as stream:
        is_synthetic = stream.read(len(HEADER)) == HEADER.encode()
    form = FileFormat(Layout(TIME_COLUMN, VALUE_COLUMN) if is_synthetic else None)
    found = read_recording(path, form)
    return Clean(found.series, found.report, clean_file.content_sha256(found.series), path.absolute())
