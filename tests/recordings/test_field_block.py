"""Blocks of plain text: the same rows and errors as line by line."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.errors import SourceError
from gapcast.recordings.formats import meter_csv, uci
from gapcast.recordings.text import text_file
from gapcast.recordings.text.field_block import FieldBlock
from gapcast.recordings.text.layout import Layout
from gapcast.recordings.text.table import Table
from gapcast.recordings.text.timestamps import TimestampParser

BERLIN = ZoneInfo("Europe/Berlin")
Read = Callable[[Path], Table]


def meter(**layout: object) -> Read:
    return lambda path: meter_csv.read(path, Layout("time", "power_w", **layout))  # type: ignore[arg-type]  # of a table


def result(read: Read, path: Path) -> object:
    """Return the exact result of ``read``, or its error."""
    try:
        table = read(path)
    except SourceError as error:
        return str(error)
    columns = (table.instant_ms, table.gap_kw, table.line, *table.extra.values())
    return [(column.dtype, column.tobytes()) for column in columns], table.time_kind, table.sha256


def check_both_ways(read: Read, path: Path, monkeypatch: pytest.MonkeyPatch, *, is_plain: bool | None = None) -> None:
    """Check that ``read`` returns the same in blocks as line by line; ``is_plain``: no block is read by lines."""
    by_lines: list[bool] = []
    with monkeypatch.context() as watched:
        watched.setattr(meter_csv._Rows, "add_lines", _recorded(meter_csv._Rows.add_lines, by_lines))
        watched.setattr(uci._Rows, "add_lines", _recorded(uci._Rows.add_lines, by_lines))
        in_blocks = result(read, path)
    with monkeypatch.context() as slow:
        slow.setattr(FieldBlock, "try_parse", lambda *_: None)
        assert in_blocks == result(read, path)
    assert is_plain is None or is_plain is not bool(by_lines)


def _recorded(add_lines: Callable[..., None], calls: list[bool]) -> Callable[..., None]:
    def add(*arguments: object) -> None:
        calls.append(True)
        add_lines(*arguments)

    return add


@pytest.mark.parametrize(
    "number", ["0", "-0", "12.", "1.5", "-99.75", "0.1", "123456789012.345", "000.250", "7", "999999999999999", ""]
)
def test_plain_numbers_equal_float(number: str) -> None:
    block = FieldBlock.try_parse(f"{number};1\n{number};2".encode(), b";", 2)
    assert block is not None
    values, others = block.numbers(0)
    assert not others.size
    expected = float(number) if number else np.nan
    assert values.tobytes() == np.array([expected, expected]).tobytes()


@pytest.mark.parametrize(
    "other", [".5", "-", "--1", "1-", "1.2.3", "1e3", "+1", " 1", "1_000", "1234567890123456", "x"]
)
def test_other_fields_are_left_to_the_caller(other: str) -> None:
    block = FieldBlock.try_parse(f"1;1\n2;{other}\n3;3".encode(), b";", 2)
    assert block is not None
    values, others = block.numbers(1)
    assert others.tolist() == [1]
    np.testing.assert_array_equal(values, [1.0, np.nan, 3.0])
    assert block.text(1, 1) == other


def test_random_numbers_equal_float() -> None:
    draw = random.Random(5)
    texts = [f"{draw.uniform(-1e4, 1e4):.{draw.randrange(12)}f}" for _ in range(2_000)]
    block = FieldBlock.try_parse("\n".join(f"{text};" for text in texts).encode(), b";", 2)
    assert block is not None
    values, others = block.numbers(0)
    assert not others.size
    assert values.tolist() == [float(text) for text in texts]


@pytest.mark.parametrize(
    "text", [b"1;2\n3", b"1;2\n\n3;4", b'1;"2"', b"1;2\0", "1;é".encode(), b"1;2\r;3\n4;5", b"1\r;2", b"1\n2;3;4",
             b"1;" + b"9" * 1_001]
)  # fmt: skip
def test_text_that_is_not_plain_is_not_split(text: bytes) -> None:
    assert FieldBlock.try_parse(text, b";", 2) is None


def test_lines_of_one_field_are_not_split() -> None:
    assert FieldBlock.try_parse(b"1\n2", b";", 1) is None


def test_line_ends_are_not_in_fields() -> None:
    block = FieldBlock.try_parse(b"1;2\r\n3;4\n5;6\r", b";", 2)
    assert block is not None
    assert block.numbers(1).values.tolist() == [2, 4, 6]


def test_runs_of_equal_fields() -> None:
    block = FieldBlock.try_parse(b"ab;\nab;\na;\nab;\n;", b";", 2)
    assert block is not None
    runs = block.runs(0, 2)
    assert runs is not None
    assert [column.tolist() for column in runs] == [[0, 2, 3, 4], [0, 0, 1, 2, 3]]
    assert block.runs(0, 1) is None


@pytest.mark.parametrize(
    ("stamp", "is_plain"),
    [
        ("2020-01-{day:02d}T00:{minute:02d}:00Z", True),
        ("2020-01-{day:02d} 00:{minute:02d}:07", True),
        ("2020-01-{day:02d}T00:{minute:02d}", True),
        ("2020-01-{day:02d}T00:{minute:02d}-05:30", True),
        ("2020-01-{day:02d}T00:{minute:02d}:00+01:00", True),
        ("15778{day:02d}8{minute:02d}", True),
        ("15778{day:02d}8{minute:02d}000", True),
        ("15778{day:02d}8{minute:02d}.5", False),
        ("2020-01-{day:02d}T00:{minute:02d}:00.250", False),
        ("2020-01-{day:02d}T00:{minute:02d}:60", False),
        ("2020-13-{day:02d}T00:{minute:02d}:00", False),
        ("2020-02-{day:02d}T00:{minute:02d}:00", False),
        ("2020-01-{day:02d}T24:{minute:02d}:00", False),
        ("2020-01-{day:02d}T00:{minute:02d}+24:00", False),
        ("2020-01-{day:02d}T00:{minute:02d}+01:60", False),
        ("2020-01-{day:02d}T00:{minute:02d}+0x:00", False),
        ("2020-01-{day:02d}x00:{minute:02d}", False),
        ("202x-01-{day:02d}T00:{minute:02d}", False),
        ("1969-01-{day:02d}T00:{minute:02d}", False),
        ("202001{day:02d}T00{minute:02d}", False),
        ("-15778{day:02d}8{minute:02d}", False),
        ("now {day} {minute}", False),
        ("", False),
    ],
)
def test_times_equal_single_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamp: str, *, is_plain: bool
) -> None:
    rows = [f"{stamp.format(day=day, minute=minute)},7" for day in (28, 29, 30) for minute in range(60)]
    path = tmp_path / "meter.csv"
    path.write_text("\n".join(["time,power_w", *rows]), encoding="utf-8")
    check_both_ways(meter(zone=BERLIN), path, monkeypatch, is_plain=is_plain)
    check_both_ways(meter(), path, monkeypatch)


@pytest.mark.parametrize(
    ("form", "stamp", "is_plain"),
    [
        ("%d.%m.%Y %H:%M", "03.01.2020 00:{:02d}", True),
        ("%Y%m%d%H%M%S", "2020010300{:02d}00", True),
        ("%d.%m.%Y %H:%M", "3.1.2020 00:{:02d}", False),
        ("%d.%m.%Y %H:%M", "32.01.2020 00:{:02d}", False),
        ("%y-%m-%d %H:%M", "20-01-03 00:{:02d}", False),
        ("%Y-%m-%d", "2020-01-{:02d}", False),
        ("%Y-%m-%d%%%H:%M", "2020-01-03%00:{:02d}", False),
    ],
)
def test_given_formats_equal_single_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, stamp: str, *, is_plain: bool
) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("\n".join(["time,power_w", *(f"{stamp.format(i)},7" for i in range(10, 30))]), encoding="utf-8")
    check_both_ways(meter(zone=BERLIN, time_format=form), path, monkeypatch, is_plain=is_plain)


@pytest.mark.parametrize("day", ["2020-10-25", "2020-03-29"])
@pytest.mark.parametrize("n_bytes", [90, 1_000, 100_000])
def test_clock_changes_equal_single_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: str, n_bytes: int
) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", n_bytes)
    hours = [0, 1, 2, 2, 3, 4] if day.startswith("2020-10") else [0, 1, 3, 4]
    rows = [f"{day}T{hour:02d}:{minute:02d},7" for hour in hours for minute in range(60)]
    path = tmp_path / "meter.csv"
    path.write_text("\n".join(["time,power_w", *rows]), encoding="utf-8")
    check_both_ways(meter(zone=BERLIN), path, monkeypatch, is_plain=True)
    path.write_text("\n".join(["time,power_w", *rows, f"{day}T02:30,7"]), encoding="utf-8")
    check_both_ways(meter(zone=BERLIN), path, monkeypatch)


def test_noted_times_are_those_resolved_one_by_one() -> None:
    draw = random.Random(3)
    for _ in range(50):
        before, at_once = TimestampParser(BERLIN), TimestampParser(BERLIN)
        for _ in range(3):
            some = np.array([draw.randrange(9) * 60_000 for _ in range(4)])
            for instant in some.tolist():
                assert before.resolve(instant, instant) == instant
            at_once.advance(some)
        later = draw.randrange(9) * 60_000
        assert before.resolve(later, later + 600_000) == at_once.resolve(later, later + 600_000)


PLAIN = [f"2020-01-01T{i // 60:02d}:{i % 60:02d}:00Z,{i % 7}.5,x" for i in range(120)]


@pytest.mark.parametrize("n_bytes", [60, 500, 1 << 20])
@pytest.mark.parametrize(
    "odd",
    ["", "2020-01-01T01:00:00Z,1", "2020-01-01T01:00:00Z,zero,x", "2020-01-01T01:00:00Z,,x", "soon,1,x",
     "1577836800,1,x", '2020-01-01T01:00:00Z,"1",x',
     '2020-01-01T01:00:00Z,1,"x', '2020-01-01T01:00:00Z,1,"x\ny"', "\r", "x\ry,1,2",
     "2020-01-01T01:00:00Z,unavailable,x", "2020-01-01T01:00:00Z,1e-1,x", "2020-01-01T01:00:00Z, 1,x",
     "2020-01-01T01:00:00Z,1,é", "2019-01-01T00:00:00Z,1,x", "2020-01-01T01:00:00Z,1,x\r"],
)  # fmt: skip
def test_odd_line_is_read_as_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, n_bytes: int
) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", n_bytes)
    path = tmp_path / "meter.csv"
    for rows in ([*PLAIN[:60], odd, *PLAIN[60:]], [odd, *PLAIN], [*PLAIN, odd]):
        path.write_bytes("\n".join(["time,power_w,more", *rows]).encode())
        check_both_ways(meter(), path, monkeypatch)


UCI_ROWS = [
    f"{1 + i // 1440}/1/2007;{i // 60 % 24:02d}:{i % 60:02d}:00;0.{i % 9};0.1;240.5;1;0;?;" for i in range(3_000)
]


@pytest.mark.parametrize("n_bytes", [60, 20_000, 1 << 20])
@pytest.mark.parametrize(
    "odd",
    ["", "1/1/2007;01:00:00;0.5", "41/1/2007;01:00:00;1;1;1;1;1;1;1", "1/1/2007;1:0:0;1;1;1;1;1;1;1",
     "1/1/2007;25:00:00;1;1;1;1;1;1;1", "1/1/2007;01:00:00;1;1;1;1;1;1;many", "1/1/2007;01:00:00;1e1;1;1;1;1;1;1",
     "01/01/20071;01:00:00;1;1;1;1;1;1;1", "3/1/2007;02:00:00;?;?;?;?;?;?;", "1/1/2007;01:00:00;\"1\";1;1;1;1;1;1"],
)  # fmt: skip
def test_odd_line_of_uci_is_read_as_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, n_bytes: int
) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", n_bytes)
    path = tmp_path / "uci.txt"
    path.write_bytes("\r\n".join([";".join(uci.COLUMNS), *UCI_ROWS[:1_500], odd, *UCI_ROWS[1_500:]]).encode())
    check_both_ways(uci.read, path, monkeypatch)
    check_both_ways(lambda path: uci.read(path, submeters=True), path, monkeypatch)


def test_plain_uci_is_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "uci.txt"
    path.write_bytes("\r\n".join([";".join(uci.COLUMNS), *UCI_ROWS, ""]).encode())
    check_both_ways(uci.read, path, monkeypatch, is_plain=True)
