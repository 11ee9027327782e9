"""The clean file reads back as written, and other files are rejected."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapcast.core.errors import SourceError
from gapcast.recordings.formats import clean_file, uci
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.minutes.series import Series, minute_series
from gapcast_trainer.data import clean_file_writer
from tests.support.uci_files import household, rows, write_text

NAN = float("nan")


@pytest.fixture
def checked(tmp_path: Path) -> tuple[Series, Report]:
    return minute_series(uci.read(write_text(tmp_path / "raw.txt", rows([1.1, NAN, 0.123, 3.0]))))


def test_clean_file_reads_back_its_series(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    path = tmp_path / "out" / "clean.parquet"
    clean_file_writer.write(*checked, path)
    found = clean_file.read(path)
    series, report = checked
    assert (found.series.first_minute, found.report) == (series.first_minute, report)
    np.testing.assert_array_equal(found.series.gap_kw, [1.1, np.nan, 0.123, 3.0])
    assert list(found.series.extra) == ["reactive_kvar", "voltage_v", "current_a"]
    for name, values in series.extra.items():
        np.testing.assert_array_equal(found.series.extra[name], values)


def test_clean_file_keeps_the_time_zone(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    """Inputs from the time of day depend on the zone, so the hash does too; UTC's hash has never changed."""
    series, report = checked
    hashes = set()
    for zone in (UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")):
        clean_file_writer.write(replace(series, zone=zone), report, tmp_path / "clean.parquet")
        found = clean_file.read(tmp_path / "clean.parquet")
        assert (found.series.zone, found.path) == (zone, tmp_path / "clean.parquet")
        hashes.add(found.sha256)
    assert len(hashes) == 3
    assert clean_file.content_sha256(series) in hashes


def test_clean_file_is_plain_parquet(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    clean_file_writer.write(*checked, tmp_path / "clean.parquet")
    table = pq.read_table(tmp_path / "clean.parquet")
    assert table.column_names == ["time", "gap_kw", "reactive_kvar", "voltage_v", "current_a"]
    assert [str(time) for time in table["time"].to_pylist()[:2]] == [
        "2020-01-01 00:00:00+00:00",
        "2020-01-01 00:01:00+00:00",
    ]
    assert table["gap_kw"].to_pylist() == [1.1, None, 0.123, 3.0]


def test_clean_file_reads_back_filled_minutes(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    path, filled = tmp_path / "clean.parquet", np.array([False, False, True, False])
    clean_file_writer.write(replace(checked[0], filled=filled), checked[1], path)
    found = clean_file.read(path)
    np.testing.assert_array_equal(found.series.filled, filled)
    np.testing.assert_array_equal(found.series.outcome_kw, [1.1, NAN, NAN, 3.0])
    assert found.sha256 != clean_file.content_sha256(checked[0])


def test_clean_file_of_several_row_groups_is_read_as_one(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    path = tmp_path / "clean.parquet"
    kw = household(1_000)
    kw[[0, 7, 8, 500, 999]] = NAN
    clean_file_writer.write(Series(0, kw), checked[1], path)
    pq.write_table(pq.read_table(path), path, row_group_size=13)
    np.testing.assert_array_equal(clean_file.read(path).series.gap_kw, kw)


def test_content_hash_does_not_depend_on_the_encoding(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    path = tmp_path / "clean.parquet"
    clean_file_writer.write(*checked, path)
    before = clean_file.read(path)
    pq.write_table(pq.read_table(path), tmp_path / "other.parquet", compression="none", use_dictionary=False)
    assert (tmp_path / "other.parquet").read_bytes() != path.read_bytes()
    assert clean_file.read(tmp_path / "other.parquet").sha256 == before.sha256


def test_content_hash_depends_on_every_number(checked: tuple[Series, Report]) -> None:
    series, _ = checked
    voltage_v = series.extra["voltage_v"]
    others = [
        replace(series, first_minute=series.first_minute + 1),
        replace(series, gap_kw=np.nextafter(series.gap_kw, 9)),
        replace(series, gap_kw=series.gap_kw[:-1]),
        replace(series, extra={}),
        replace(series, extra={"voltage_v": voltage_v}),
        replace(series, extra={"current_a": voltage_v}),
    ]
    hashes = {clean_file.content_sha256(each) for each in (series, *others)}
    assert len(hashes) == 1 + len(others)
    same = {name: series.extra[name].copy() for name in reversed(list(series.extra))}
    assert clean_file.content_sha256(replace(series, extra=same)) == clean_file.content_sha256(series)


def _changed(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], object]:
    return lambda path: pq.write_table(change(pq.read_table(path)), path)


def _with_another_number(table: pa.Table) -> pa.Table:
    return table.set_column(1, "gap_kw", pa.array([1.1, None, 0.124, 3.0]))


def _of_another_name(table: pa.Table) -> pa.Table:
    return table.rename_columns(["time", "gap_kw", "reactive_kvar", "voltage_v", "frequency_hz"])


def _of_another_type(table: pa.Table) -> pa.Table:
    return table.set_column(1, "gap_kw", table["gap_kw"].cast(pa.float32()))


NO_CLEAN_FILE = "is not a clean file, or not the whole of one"


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.unlink(), "is not there"),
        (lambda path: path.write_bytes(b""), NO_CLEAN_FILE),
        (lambda path: path.write_text("minute,gap_kw\n2020-01-01T00:00:00Z,1.0\n"), NO_CLEAN_FILE),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), NO_CLEAN_FILE),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), NO_CLEAN_FILE),
        (_changed(lambda table: table.replace_schema_metadata({})), NO_CLEAN_FILE),
        (_changed(lambda table: table.replace_schema_metadata({"gapcast": "{}"})), NO_CLEAN_FILE),
        (_changed(lambda table: table.replace_schema_metadata({"gapcast": "[1"})), NO_CLEAN_FILE),
        (_changed(lambda table: table.drop_columns("gap_kw")), NO_CLEAN_FILE),
        (_changed(lambda table: table.slice(0, 0)), NO_CLEAN_FILE),
        (_changed(lambda table: table.take([0, 1, 3])), NO_CLEAN_FILE),
        (_changed(_of_another_name), NO_CLEAN_FILE),
        (_changed(_of_another_type), NO_CLEAN_FILE),
        (_changed(_with_another_number), "does not hold what was written to it"),
        (_changed(lambda table: table.slice(0, 3)), "does not hold what was written to it"),
        (_changed(lambda table: table.drop_columns("voltage_v")), "does not hold what was written to it"),
    ],
)
def test_clean_file_altered_is_rejected(
    tmp_path: Path, checked: tuple[Series, Report], spoil: Callable[[Path], object], error: str
) -> None:
    path = tmp_path / "clean.parquet"
    clean_file_writer.write(*checked, path)
    spoil(path)
    with pytest.raises(SourceError, match=r"clean\.parquet: .*gapcast-trainer prepare") as caught:
        clean_file.read(path)
    assert error in str(caught.value)


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """Within the block no file can grow beyond ``n_bytes``, as on a disk that fills."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_clean_file_on_a_full_disk_keeps_the_old_one(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    path = tmp_path / "runs" / "clean.parquet"
    clean_file_writer.write(*checked, path)
    before = path.read_bytes()
    large = Series(0, household(9_000))
    with room_for(8_192), pytest.raises(SourceError, match=r"clean\.parquet: cannot be written \(File too large\)"):
        clean_file_writer.write(large, checked[1], path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_clean_file_unwritable_path_is_named(tmp_path: Path, checked: tuple[Series, Report]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match=r"cannot be written \(Not a directory|cannot be written \(File exists"):
        clean_file_writer.write(*checked, tmp_path / "file" / "clean.parquet")
