"""The column types of Parquet files: equal if Spark reads the same, otherwise different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapcast.core.errors import SourceError
from gapcast_fleet.histories.footers import check_present, check_types, column_types


def write(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def times(unit: str, zone: str | None = None) -> pa.Array:
    return pa.array([0], pa.timestamp(unit, zone))


def test_column_types_of_the_same_reading_are_equal(tmp_path: Path) -> None:
    """Units of time, large texts and dictionaries make no difference to Spark."""
    write(tmp_path / "a.parquet", at=times("us"), device=pa.array(["x"]), kw=[1.0])
    device = pa.array(["x"], pa.large_string()).dictionary_encode()
    write(tmp_path / "deep" / "b.parquet", at=times("ms"), device=device, kw=[2.0])
    files = column_types(tmp_path)
    assert [path.name for path in files] == ["a.parquet", "b.parquet"]
    assert list(files.values()) == [{"at": "timestamp without a time zone", "device": "string", "kw": "double"}] * 2
    check_types(files, ["at", "device", "kw"])


def test_column_types_skip_files_that_spark_skips(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", kw=[1.0])
    for name in ("_SUCCESS", ".a.parquet.crc", "_temporary/b.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in column_types(tmp_path)] == ["a.parquet"]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (times("us"), times("us", "UTC"), "timestamp in UTC, and timestamp without a time zone in"),
        (times("us"), times("ns"), "timestamp in nanoseconds, and"),
        (pa.array([1.0]), pa.array(["1"]), "string, and double in"),
        (pa.array([1], pa.int32()), pa.array([1], pa.int64()), "int64, and int32 in"),
        (pa.array([1.0]), pa.array([1.0], pa.float32()), "float, and double in"),
    ],
)
def test_column_types_that_differ_name_both_files(one: pa.Array, other: pa.Array, said: str, tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.parquet", at=one), write(tmp_path / "b.parquet", at=other)
    with pytest.raises(
        SourceError, match=f"^{second}: the type of column 'at' is {said}.*{first.name}: write all files"
    ):
        check_types(column_types(tmp_path), ["at"])


def test_column_types_column_in_some_files_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", at=times("us"), device=["x"])
    second = write(tmp_path / "b.parquet", at=times("us"))
    check_types(column_types(tmp_path), ["at", "device"])
    check_present(column_types(tmp_path), ["at", "house"])  # no file has it: another error names the option
    with pytest.raises(SourceError, match=f"^{second}: has no column 'device', which other files have"):
        check_present(column_types(tmp_path), ["at", "device"])


def test_column_types_truncated_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", at=times("us"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match=f"^{path}: is not a complete Parquet file: write it again, or move it away"):
        column_types(tmp_path)
