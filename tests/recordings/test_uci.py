"""UCI's file, valid and invalid."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gapcast.core.errors import SourceError
from gapcast.recordings.formats import uci
from gapcast.recordings.text import text_file
from tests.support.uci_files import HEADER, START, row, rows, write_text, write_zip

NAN = float("nan")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_uci_text(tmp_path: Path, end: str) -> None:
    table = uci.read(write_text(tmp_path / "raw.txt", rows([4.216, NAN, 5.36]), end=end))
    assert table.instant_ms.tolist() == [1_000 * (int(START.timestamp()) + 60 * k) for k in range(3)]
    np.testing.assert_array_equal(table.gap_kw, [4.216, np.nan, 5.36])
    assert table.line.tolist() == [2, 3, 4]


def test_uci_other_columns(tmp_path: Path) -> None:
    lines = ["2/1/2007;03:04:00;1.5;0.2;241.5;6.4;0;1;17", "2/1/2007;03:05:00;?;?;?;?;?;?;"]
    table = uci.read(write_text(tmp_path / "raw.txt", lines))
    assert list(table.extra) == ["reactive_kvar", "voltage_v", "current_a"]
    np.testing.assert_array_equal(list(table.extra.values()), [[0.2, np.nan], [241.5, np.nan], [6.4, np.nan]])


def test_uci_without_later_columns_is_read(tmp_path: Path) -> None:
    header = ";".join(uci.COLUMNS[:4])
    table = uci.read(
        write_text(tmp_path / "raw.txt", ["2/1/2007;03:04:00;1.5;0.2", "2/1/2007;03:05:00;?;"], header=header)
    )
    np.testing.assert_array_equal(table.gap_kw, [1.5, np.nan])
    assert list(table.extra) == ["reactive_kvar"]


def test_uci_gzip(tmp_path: Path) -> None:
    raw = write_text(tmp_path / "raw.txt", rows([1.0, 2.0]))
    packed = tmp_path / "raw.txt.gz"
    packed.write_bytes(gzip.compress(raw.read_bytes()))
    assert uci.read(packed).sha256 == uci.read(raw).sha256


def test_uci_day_precedes_month(tmp_path: Path) -> None:
    line = "2/1/2007;03:04:00;1.000;0;240;4;0;1;17"
    table = uci.read(write_text(tmp_path / "raw.txt", [line]))
    assert np.datetime64(int(table.instant_ms[0]), "ms") == np.datetime64("2007-01-02T03:04:00")


def test_uci_zip(tmp_path: Path) -> None:
    lines = rows([1.0, 2.0, NAN])
    plain, packed = write_text(tmp_path / "raw.txt", lines), write_zip(tmp_path / "raw.zip", lines)
    from_text, from_zip = uci.read(plain), uci.read(packed)
    np.testing.assert_array_equal(from_zip.gap_kw, from_text.gap_kw)
    assert from_zip.sha256 == from_text.sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()


def test_uci_last_line_without_newline(tmp_path: Path) -> None:
    path = write_text(tmp_path / "raw.txt", rows([1.0, 2.0]))
    path.write_bytes(path.read_bytes().rstrip())
    assert uci.read(path).gap_kw.tolist() == [1.0, 2.0]


def test_uci_whole_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uci, "N_ROWS", 3)
    assert uci.completeness(3, 1).startswith("this is not the whole set: 3 rows with 1 missing readings, of 3 with")
    monkeypatch.setattr(uci, "N_MISSING", 1)
    assert uci.completeness(3, 1).startswith("this is the whole set")


def test_uci_lines_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", 97)
    values = [0.123 + k for k in range(40)]
    table = uci.read(write_text(tmp_path / "raw.txt", rows(values)))
    np.testing.assert_allclose(table.gap_kw, values, atol=5e-4)


def bad(lines: list[str], at: int, line: str) -> list[str]:
    """``lines`` with number ``at`` (of the file, from 1; the header is 1) replaced."""
    return [*lines[: at - 2], line, *lines[at - 1 :]]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (row(START, 1.0).replace(";", ","), "has 1 fields separated by ';', not 9"),
        ("1/1/2020;00:02:00;1.0", "has 3 fields"),
        ("", "has 1 fields"),
        (row(START, "abc"), "Global_active_power is 'abc', not a number or '?'"),
        (row(START, "1,234"), "Global_active_power is '1,234'"),
        (row(START, "nan"), "Global_active_power is 'nan', not a number or '?'"),
        (row(START, "inf"), "Global_active_power is 'inf'"),
        (row(START, "1_0"), "Global_active_power is '1_0'"),
        ("1/1/2020;00:02:00;1.0;0;volts;4;0;1;17", "Voltage is 'volts', not a number or '?'"),
        ("1/1/2020;00:02:00;1.0;0;240;4;0;1;17 x", "Sub_metering_3 is '17 x'"),
        ("2020-01-01;00:02:00;1.0;0;240;4;0;1;17", "Date is '2020-01-01', not a date as day/month/year"),
        ("13/13/2020;00:02:00;1.0;0;240;4;0;1;17", "Date is '13/13/2020'"),
        ("1/1/2020;25:02:00;1.0;0;240;4;0;1;17", "Time is '25:02:00'"),
        ("ü/1/2020;00:02:00;1.0;0;240;4;0;1;17", "Date is 'ü/1/2020'"),
    ],
)
def test_uci_bad_line_is_named(tmp_path: Path, line: str, error: str) -> None:
    path = write_text(tmp_path / "raw.txt", bad(rows([1.0] * 6), 5, line))
    with pytest.raises(SourceError, match=r"raw\.txt, line 5: ") as caught:
        uci.read(path)
    assert error in str(caught.value)
    assert caught.value.line == 5


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "is empty"),
        (b"\n1;2;3\n", "has no header"),
        (HEADER.encode() + b"\r\n", "holds a header and no readings"),
        (HEADER.replace(";", ",").encode() + b"\n", "fields are separated by ','"),
        (HEADER.replace(";", "\t").encode() + b"\n", "fields are separated by tabs"),
        (b"minute,gap_kw\n2020-01-01T00:00:00Z,1\n", "name its columns by --time-column and --value-column (found"),
        (b"\x00\x01\xff" * 500, "line 1: is not UCI's household set"),
    ],
)
def test_uci_other_file_is_rejected(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "raw.txt"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        uci.read(path)
    assert error in str(caught.value)
    assert len(str(caught.value)) < 400


def test_uci_zip_of_other_files_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.md", "x")
        archive.writestr("a.csv", "x")
    with pytest.raises(SourceError, match=r"without one household_power_consumption\.txt in it \(it holds readme\.md"):
        uci.read(path)


def test_uci_only_file_of_a_zip_may_have_any_name(tmp_path: Path) -> None:
    assert uci.read(write_zip(tmp_path / "raw.zip", rows([1.0]), member="week.csv")).gap_kw.tolist() == [1.0]


def test_uci_damaged_zip_is_rejected(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "raw.zip", rows([k / 7 for k in range(2_000)]))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot be read to its end|line"):
        uci.read(path)


def test_uci_truncated_zip_is_rejected(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "raw.zip", rows([1.0] * 2_000))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError, match="cannot be read to its end"):
        uci.read(path)


def test_uci_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        uci.read(tmp_path / "nothing.txt")


def test_uci_saved_by_an_editor_has_a_byte_order_mark_and_an_empty_line(tmp_path: Path) -> None:
    path = write_text(tmp_path / "raw.txt", rows([1.0, 2.0]))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n")
    assert uci.read(path).gap_kw.tolist() == [1.0, 2.0]


def test_uci_empty_line_between_rows_is_an_error(tmp_path: Path) -> None:
    first, *others = rows([1.0, 2.0, 3.0])
    with pytest.raises(SourceError, match="line 3: has 1 fields"):
        uci.read(write_text(tmp_path / "raw.txt", [first, "", *others]))
