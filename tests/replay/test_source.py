"""Readings from a CSV file."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from gapcast.core.errors import SourceError
from gapcast.core.reading import Limits
from gapcast.replay.source import CsvColumns, Minute, read_minutes
from gapcast.sample import sample_path
from tests.support.approximate import approx

UCI = (
    "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;"
    "Sub_metering_1;Sub_metering_2;Sub_metering_3\r\n"
)
UCI_ROWS = (
    UCI
    + "16/12/2006;17:24:00;4.216;0.418;234.840;18.400;0.000;1.000;17.000\r\n"
    + "16/12/2006;17:25:00;?;?;?;?;?;?;\r\n"
    + "16/12/2006;17:26:00;-0.5;0;0;0;0;0;0\r\n"
)
START = 19_438_164  # 2006-12-16T17:24Z
EXPECTED = [Minute(START, 4.216), Minute(START + 2, -0.5)]


def read(path: Path, columns: CsvColumns | None = None) -> list[Minute]:
    return list(read_minutes(path, columns or CsvColumns(), Limits()))


def test_read_minutes_uci_file(tmp_path: Path) -> None:
    plain, packed, archive = tmp_path / "a.txt", tmp_path / "a.txt.gz", tmp_path / "a.zip"
    plain.write_bytes(UCI_ROWS.encode())
    packed.write_bytes(gzip.compress(UCI_ROWS.encode()))
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.txt", UCI_ROWS)
    assert read(plain) == read(packed) == read(archive) == EXPECTED


@pytest.mark.parametrize(
    "stamp", ["2006-12-16T17:24:00Z", "2006-12-16 17:24:00", "2006-12-16T18:24+01:00", "1166289840"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_read_minutes_any_csv_by_its_columns(tmp_path: Path, stamp: str, delimiter: str) -> None:
    path = tmp_path / "meter.csv"
    rows = [["id", "when", "watts"], ["1", stamp, "4216"], ["2", stamp, ""], ["3", stamp, "nan"]]
    path.write_text("\n".join(delimiter.join(row) for row in rows) + "\n\n", encoding="utf-8-sig")
    assert read(path, CsvColumns("when", "watts", "W")) == [Minute(START, approx(4.216))]


@pytest.mark.parametrize("missing", ["", "  ", "?", "nan", "NaN", "NA", "null"])
def test_read_minutes_skips_missing_values(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "meter.csv"
    path.write_text(f"t,p\n2006-12-16T17:24Z,1\n2006-12-16T17:25Z,{missing}\n2006-12-16T17:26Z,2\n", encoding="utf-8")
    assert read(path, CsvColumns("t", "p")) == [Minute(START, 1.0), Minute(START + 2, 2.0)]


def test_read_minutes_accepts_quoted_fields(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text('\ufeff"when, UTC","power"\r\n"2006-12-16 17:24:00","4.216"\r\n', encoding="utf-8", newline="")
    assert read(path, CsvColumns("when, UTC", "power")) == [Minute(START, 4.216)]


def test_read_minutes_is_lazy_and_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("t,p\n2006-12-16T17:26Z,2\n2006-12-16T17:24Z,1\nnonsense,1\n", encoding="utf-8")
    minutes = read_minutes(path, CsvColumns("t", "p"), Limits())
    assert [next(minutes), next(minutes)] == [Minute(START + 2, 2.0), Minute(START, 1.0)]
    with pytest.raises(SourceError, match="line 4"):
        next(minutes)


def test_read_minutes_header_alone_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text(UCI, encoding="utf-8")
    assert read(path) == []


def test_bundled_week_is_a_week() -> None:
    minutes = read(sample_path())
    assert len(minutes) == 10_079
    assert minutes[-1].minute - minutes[0].minute == 7 * 1_440 - 1


@pytest.mark.parametrize(
    ("text", "columns", "problem"),
    [
        ("", CsvColumns(), r"line 1: the file is empty"),
        ("\n1,2\n", CsvColumns("t", "p"), "line 1: the file is empty, or its first line is"),
        ("a,b\n1,2\n", CsvColumns(), r"line 1: the columns \(a, b\) are not those of UCI.*--time-column"),
        ("a,b\n1,2\n", CsvColumns("t", "b"), "line 1: --time-column: there is no column 't' among a, b"),
        ("a,b\n1,2\n", CsvColumns("a", None), "line 1: name the other column too, by --value-column"),
        ("t,p\n2006-12-16,1\nyesterday,2\n", CsvColumns("t", "p"), "line 3: 'yesterday,2' cannot be read"),
        ("t,p\n2006-12-16,1\n2006-12-16,lots\n", CsvColumns("t", "p"), "line 3: .*'lots'"),
        ("t,p\n2006-12-16,1230\n", CsvColumns("t", "p"), r"line 2: 1230.*watts"),
        ("t,p\n1901-12-16,1\n", CsvColumns("t", "p"), "line 2: .*before 2000"),
        ("t,p\n2006-12-16,inf\n", CsvColumns("t", "p"), "line 2: power must be finite"),
        ("t,p\n2006-12-16,-101\n", CsvColumns("t", "p"), "line 2: -101.0 kW is outside"),
        ("t;p\n2006-12-16;1,5\n", CsvColumns("t", "p"), "line 2: '2006-12-16;1,5' cannot be read"),
        ("x,t,p\n1\n", CsvColumns("t", "p"), "line 2: has 1 columns where the header has 3"),
        (UCI + "16/13/2006;17:24:00;1;1;1;1;1;1;1\r\n", CsvColumns(), "line 2: .*month"),
        (UCI + "16/12/2006;17:24:00\r\n", CsvColumns(), "line 2: has 2 columns where the header has 9"),
        (UCI + "2006-12-16;17:24:00;1;1;1;1;1;1;1\r\n", CsvColumns(), "line 2: .*cannot be read"),
        (UCI + "16/12/2006;17:24:00;one;1;1;1;1;1;1\r\n", CsvColumns(), "line 2: .*'one'"),
    ],
)
def test_read_minutes_error_names_file_and_line(tmp_path: Path, text: str, columns: CsvColumns, problem: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=problem) as refused:
        read(path, columns)
    assert str(path) in str(refused.value)


def test_read_minutes_endless_field_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text('t,p\n"' + "2006\n" * 100_000, encoding="utf-8")
    with pytest.raises(SourceError, match=r"bad\.csv: cannot be read: field larger"):
        read(path, CsvColumns("t", "p"))


@pytest.mark.parametrize("n_kept", [20, 100, 400])
def test_read_minutes_truncated_gz_is_an_error(tmp_path: Path, n_kept: int) -> None:
    rows = "".join(f"16/12/2006;17:24:00;{i * i % 9_973 / 1_000};0;0;0;0;0;0\r\n" for i in range(500))
    (tmp_path / "a.gz").write_bytes(gzip.compress((UCI + rows).encode())[:n_kept])
    with pytest.raises(SourceError, match=r"a\.gz: cannot be read"):
        read(tmp_path / "a.gz")


def test_read_minutes_damaged_gz_is_an_error(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress((UCI_ROWS * 50).encode()))
    packed[40:60] = b"\xff" * 20
    (tmp_path / "a.gz").write_bytes(packed)
    with pytest.raises(SourceError, match=r"a\.gz: cannot be read"):
        read(tmp_path / "a.gz")


def test_read_minutes_encrypted_zip_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("a.txt", UCI_ROWS)
    packed = bytearray((tmp_path / "a.zip").read_bytes())
    packed[6] |= 1  # "encrypted", of the file
    packed[packed.index(b"PK\x01\x02") + 8] |= 1  # and of its entry in the directory
    (tmp_path / "a.zip").write_bytes(packed)
    with pytest.raises(SourceError, match=r"a\.zip: cannot be read: .*encrypted"):
        read(tmp_path / "a.zip")


def test_read_minutes_wrong_file_type_is_an_error(tmp_path: Path) -> None:
    for name in ("a.gz", "a.zip", "a.csv"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00nothing")
        with pytest.raises(SourceError, match="cannot be read"):
            read(tmp_path / name)
    with pytest.raises(SourceError, match=r"nowhere\.csv: cannot be read"):
        read(tmp_path / "nowhere.csv")
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    with pytest.raises(SourceError, match="must hold one file, not 0"):
        read(tmp_path / "none.zip")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a", "x")
        archive.writestr("b", "x")
    with pytest.raises(SourceError, match="must hold one file, not 2"):
        read(tmp_path / "two.zip")
