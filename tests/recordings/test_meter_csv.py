"""CSV files of any meter: supported formats, and errors."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.errors import SourceError
from gapcast.recordings.formats import meter_csv
from gapcast.recordings.minutes.series import minute_series
from gapcast.recordings.text import text_file
from gapcast.recordings.text.layout import Layout, Unit
from gapcast.recordings.text.table import Table
from gapcast.recordings.text.timestamps import TimestampParser

NAN = float("nan")
LAYOUT = Layout("time", "power_w")
LONDON, BERLIN = ZoneInfo("Europe/London"), ZoneInfo("Europe/Berlin")
START = datetime(2020, 1, 1, tzinfo=UTC)


def written(folder: Path, lines: Sequence[str], header: str = "time,power_w") -> Path:
    path = folder / "meter.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def times(table: Table) -> list[str]:
    return [str(np.datetime64(int(instant), "ms"))[:-4] for instant in table.instant_ms]


def test_csv_is_read_by_column_names(tmp_path: Path) -> None:
    path = written(tmp_path, ["7,1234,2020-01-01T00:00:00Z", "8,,2020-01-01T00:01:00Z"], "id,power_w,time")
    table = meter_csv.read(path, LAYOUT)
    assert times(table) == ["2020-01-01T00:00:00", "2020-01-01T00:01:00"]
    np.testing.assert_array_equal(table.gap_kw, [1.234, NAN])
    assert table.line.tolist() == [2, 3]
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert table.source == "meter.csv, column power_w (W)"


@pytest.mark.parametrize("missing", ["", "?", "NaN", "nan", "NA", "null", "unknown", "unavailable", " "])
def test_csv_missing_value(tmp_path: Path, missing: str) -> None:
    table = meter_csv.read(written(tmp_path, [f"1577836800,{missing}", "1577836860,500"]), LAYOUT)
    np.testing.assert_array_equal(table.gap_kw, [NAN, 0.5])


@pytest.mark.parametrize(
    "stamp",
    ["2020-01-01T00:00:00Z", "2020-01-01 01:00:00+01:00", "2019-12-31T19:00-05:00", "20200101T000000Z", "1577836800",
     "1577836800.0", "1577836800000", "1577836800000000", "1577836800000000000"],
)  # fmt: skip
def test_csv_time_formats(tmp_path: Path, stamp: str) -> None:
    assert times(meter_csv.read(written(tmp_path, [f"{stamp},1"]), LAYOUT)) == ["2020-01-01T00:00:00"]


def test_csv_custom_time_format(tmp_path: Path) -> None:
    path = written(tmp_path, ["01.02.2020 13:05;1,5"], "Zeit;Leistung [kW]")
    layout = Layout("Zeit", "Leistung [kW]", decimal=",", time_format="%d.%m.%Y %H:%M", zone=BERLIN)
    table = meter_csv.read(path, layout)
    assert times(table) == ["2020-02-01T12:05:00"]
    assert table.gap_kw.tolist() == [1.5]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "~"])
def test_csv_delimiters(tmp_path: Path, separator: str) -> None:
    path = written(tmp_path, [f"1577836800{separator}1"], f"time{separator}power_w")
    assert meter_csv.read(path, Layout("time", "power_w", separator=separator)).gap_kw.tolist() == [0.001]
    if separator != "~":
        assert meter_csv.read(path, LAYOUT).gap_kw.tolist() == [0.001]


def test_csv_decimal_comma(tmp_path: Path) -> None:
    path = written(tmp_path, ['1577836800,"1234,5"'])
    assert meter_csv.read(path, Layout("time", "power_w", decimal=",")).gap_kw.tolist() == [1.2345]


def test_csv_packed(tmp_path: Path) -> None:
    plain = written(tmp_path, ["1577836800,1"])
    packed, archive = tmp_path / "meter.csv.gz", tmp_path / "meter.zip"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(plain, "meter.csv")
    assert len({meter_csv.read(path, LAYOUT).sha256 for path in (plain, packed, archive)}) == 1


def test_csv_byte_order_mark_and_blank_lines_keep_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_bytes(b"\xef\xbb\xbftime,power_w\r\n\r\n1577836800,1\r\n\r\n1577836860,x\r\n")
    with pytest.raises(SourceError, match=r"meter\.csv, line 5: power_w is 'x', not a number"):
        meter_csv.read(path, LAYOUT)


def test_csv_rows_without_any_value_are_no_rows(tmp_path: Path) -> None:
    """A spreadsheet writes those below the table, if they were edited or formatted."""
    path = written(tmp_path, ["1577836800;1;", "1577836860;2;", ";;", ";;"], "time;power_w;")
    assert meter_csv.read(path, LAYOUT).gap_kw.tolist() == [0.001, 0.002]


def test_csv_features(tmp_path: Path) -> None:
    path = written(tmp_path, ["1577836800,1,230.5,", "1577836860,1,231,4.1"], "time,power_w,U,I")
    table = meter_csv.read(path, Layout("time", "power_w", features={"voltage_v": "U", "current_a": "I"}))
    np.testing.assert_array_equal(list(table.extra.values()), [[230.5, 231.0], [NAN, 4.1]])
    assert minute_series(table)[1].features == ("voltage_v", "current_a")


def test_csv_samples_become_minutes(tmp_path: Path) -> None:
    path = written(tmp_path, [f"{1577836800 + 10 * k},{100 * (k % 6)}" for k in range(18)])
    series, report = minute_series(meter_csv.read(path, LAYOUT))
    assert series.gap_kw.tolist() == pytest.approx([0.25, 0.25, 0.25])
    assert (report.n_rows, report.n_minutes) == (18, 3)
    assert "a sample every 10 s" in "\n".join(report.lines())


def test_csv_distinguishes_missing_row_and_missing_value(tmp_path: Path) -> None:
    rows = ["1577836800,1", "1577836860,", "1577836920,1", "1577837100,1", "1577837160,1"]
    _, report = minute_series(meter_csv.read(written(tmp_path, rows), LAYOUT))
    assert (report.n_missing, report.n_missing_rows) == (3, 2)


def test_csv_too_few_samples_for_a_minute_are_reported(tmp_path: Path) -> None:
    path = written(tmp_path, ["1577836800,1", "1577836803,1", "1577836807,1"])
    with pytest.raises(SourceError, match="too few samples for the mean of any minute"):
        minute_series(meter_csv.read(path, LAYOUT))


CHANGES = [
    ("Europe/London", "2020-03-28"), ("Europe/London", "2020-10-24"), ("Europe/Berlin", "2020-10-24"),
    ("America/New_York", "2020-03-07"), ("America/New_York", "2020-10-31"), ("Australia/Lord_Howe", "2020-04-04"),
    ("Australia/Lord_Howe", "2020-10-03"), ("UTC", "2020-10-24"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("step_min", [1, 5])
def test_csv_local_time_across_a_clock_change(tmp_path: Path, zone: str, day: str, step_min: int) -> None:
    """Two days around it, written in the time that a wall clock showed."""
    first = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    instants = [first + 60 * k for k in range(0, 2_880, step_min)]
    lines = [f"{datetime.fromtimestamp(instant, ZoneInfo(zone)):%Y-%m-%dT%H:%M:%S},1" for instant in instants]
    table = meter_csv.read(written(tmp_path, lines), Layout("time", "power_w", zone=ZoneInfo(zone)))
    assert table.instant_ms.tolist() == [1_000 * instant for instant in instants]


def test_csv_repeated_hour_is_resolved_by_row_order() -> None:
    clock = TimestampParser(BERLIN)
    first = clock.instant_ms("2020-10-25T01:59:00")
    assert clock.instant_ms("2020-10-25T02:00:00") == first + 60_000
    assert clock.instant_ms("2020-10-25T02:59:00") == first + 60 * 60_000
    assert clock.instant_ms("2020-10-25T02:00:00") == first + 61 * 60_000
    assert clock.instant_ms("2020-10-25T03:00:00") == first + 121 * 60_000


def test_csv_duplicate_in_the_repeated_hour_stays_a_duplicate() -> None:
    clock = TimestampParser(BERLIN)
    first = clock.instant_ms("2020-10-25T02:00:00")
    assert clock.instant_ms("2020-10-25T02:00:10") == clock.instant_ms("2020-10-25T02:00:10") == first + 10_000
    hourly = TimestampParser(BERLIN)
    times = [hourly.instant_ms(f"2020-10-25T0{hour}:00:00") for hour in (1, 2, 2, 3)]
    assert [later - times[0] for later in times] == [0, 3_600_000, 7_200_000, 10_800_000]


def test_csv_skipped_hour_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, ["2020-03-29T01:59:00,1", "2020-03-29T02:00:00,1"])
    with pytest.raises(SourceError, match="line 3: '2020-03-29T02:00:00' does not exist in Europe/Berlin"):
        meter_csv.read(path, Layout("time", "power_w", zone=BERLIN))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("2020-01-01T00:02:00Z", "has 1 fields separated by ',', but the header has 2: '2020-01-01T00:02:00Z' (is"),
        ("2020-01-01T00:02:00Z,1,5", "(numbers with a decimal comma must be quoted)"),
        ("2020-01-01T00:02:00Z,many", "power_w is 'many', not a number"),
        ("2020-01-01T00:02:00Z,210.6 W", "power_w is '210.6 W', not a number: remove the unit from the values"),
        ('2020-01-01T00:02:00Z,"1,5"', "power_w is '1,5', not a number with the decimal sign '.' (--decimal names"),
        ('2020-01-01T00:02:00Z,"1,319.5"', "power_w is '1,319.5', not a number: remove the separators of thousands"),
        ("2020-01-01T00:02:00Z,inf", "power_w is 'inf'"),
        ("2020-01-01T00:02:00Z,1_0", "power_w is '1_0'"),
        ("2020-01-01T00:02:00,1", "'2020-01-01T00:02:00' has no UTC offset: set its time zone with --timezone"),
        (
            "01.01.2020 00:02,1",
            "is neither a time like 2020-01-31T12:00:00Z nor an epoch number: specify its format",
        ),
        ("00:02:00,1", "'00:02:00' has no date: if the date is in another column, join the two into one"),
        ("2020-02-30T00:02:00Z,1", "'2020-02-30T00:02:00Z' is neither a time"),
        (",1", "'' is neither a time"),
        ("1577836920,1", "is an epoch number, but the row before has a time with an offset"),
    ],
)
def test_csv_bad_row_is_named(tmp_path: Path, line: str, error: str) -> None:
    path = written(tmp_path, ["2020-01-01T00:00:00Z,1", "2020-01-01T00:01:00Z,1", line, "2020-01-01T00:03:00Z,1"])
    with pytest.raises(SourceError, match=r"meter\.csv, line 4: ") as caught:
        meter_csv.read(path, LAYOUT)
    assert error in str(caught.value)


def test_csv_comma_in_a_column_name_is_no_separator(tmp_path: Path) -> None:
    path = written(tmp_path, ["1577836800;1"], "Zeit;Leistung, gesamt (W)")
    assert meter_csv.read(path, Layout("Zeit", "Leistung, gesamt (W)", "W")).gap_kw.tolist() == [0.001]


@pytest.mark.parametrize("decimal", [".", ","])
def test_csv_separators_of_thousands_are_not_decimals(tmp_path: Path, decimal: Literal[".", ","]) -> None:
    powers = [f"{power_w:,}".replace(",", decimal) for power_w in range(150, 3_150, 7)]
    path = written(tmp_path, [f"{1577836800 + 60 * k};{power}" for k, power in enumerate(powers)], "time;power_w")
    with pytest.raises(SourceError, match=rf"'power_w' is in W, and has '\{decimal}' only from 1000 on: remove"):
        meter_csv.read(path, Layout("time", "power_w", decimal=decimal))


@pytest.mark.parametrize("power", ["{0:.3f}", "{0:.5g}", "{0:.1f}", "{0:.0f}"])
def test_csv_powers_in_watts_with_decimals(tmp_path: Path, power: str) -> None:
    rows = [f"{1577836800 + 60 * k},{power.format(1.234 * k)}" for k in (*range(400), 0)]
    assert meter_csv.read(written(tmp_path, rows), Layout("time", "power_w")).gap_kw.size == 401


@pytest.mark.parametrize("unit", [None, "W", "kW"])
def test_csv_energy_is_not_taken_for_power(tmp_path: Path, unit: Unit | None) -> None:
    path = written(tmp_path, ["1577836800,1,1"], "time,Total (kWh),power_kw")
    problem = r"line 1: column 'Total \(kWh\)' is an energy \(kWh\), not a power: choose a column of power"
    with pytest.raises(SourceError, match=problem):
        meter_csv.read(path, Layout("time", "Total (kWh)", unit, default_unit="kW"))
    with pytest.raises(SourceError, match=problem):
        meter_csv.read(path, Layout("time", "power_kw", unit, submeters=("Total (kWh)",)))


def counts(tmp_path: Path, header: str = "time,power,heat_pump") -> Path:
    return written(tmp_path, [f"{1577836800 + 60 * k},{k % 2},{45 + k / 1_000:.3f}" for k in range(110)], header)


@pytest.mark.parametrize(
    ("column", "submeters"), [("heat_pump", ()), ("power", ("heat_pump",))], ids=["power", "submeter"]
)
def test_csv_counter_is_a_power_only_by_a_stated_unit(tmp_path: Path, column: str, submeters: tuple[str, ...]) -> None:
    layout, path = Layout("time", column, default_unit="kW", submeters=submeters), counts(tmp_path)
    problem = "column 'heat_pump' only rises, like an energy counter: choose a column of power"
    with pytest.raises(SourceError, match=rf"{problem}.*; if it is a power, state its unit by --unit$"):
        meter_csv.read(path, layout)
    in_kw = replace(layout, unit="kW")
    assert meter_csv.read(path, in_kw).gap_kw.size == 110
    with pytest.raises(
        SourceError, match=rf"{problem} \(W or kW\), or convert the energy \(docs/data\.md#energy-to-power\)$"
    ):
        meter_csv.read(path, replace(in_kw, may_only_rise=False))


def test_csv_power_with_a_unit_in_its_name_may_only_rise(tmp_path: Path) -> None:
    path = counts(tmp_path, "time,power,heat_pump_kw")
    assert meter_csv.read(path, Layout("time", "heat_pump_kw")).gap_kw.size == 110


def test_csv_mixed_local_and_offset_times_are_rejected(tmp_path: Path) -> None:
    path = written(tmp_path, ["2020-01-01T00:00:00,1", "2020-01-01T00:01:00Z,1"])
    with pytest.raises(
        SourceError, match=r"line 3: .* is a time with an offset, but the row before has a time without"
    ):
        meter_csv.read(path, Layout("time", "power_w", zone=LONDON))


def test_csv_offsets_may_differ(tmp_path: Path) -> None:
    path = written(tmp_path, ["2020-10-25T02:59:00+02:00,1", "2020-10-25T02:00:00+01:00,1"])
    assert times(meter_csv.read(path, LAYOUT)) == ["2020-10-25T00:59:00", "2020-10-25T01:00:00"]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (["1577836860,1", "1577836800,2"], "line 3: 2020-01-01T00:00:00Z is earlier than the row before it"),
        (["1577836860,1", "1577836800,2", "1577836920,3"], "the oldest first; sort them (docs/data.md#several-columns"),
        (["1577836800,1", "1577836810,123456"], "line 3: 123.456 kW is outside -100 to 100 kW"),
        (["157783680,1"], "line 2: 1975-01-01T04:48:00Z is not a possible time"),
        (["1577836800,1", "2577836800,1"], "more than 20 years: is a time wrong?"),
        (["9" * 400 + ",1"], "line 2: "),
        (["9" * 24 + ",1"], "line 2: "),
        (["1775044844844800000000000,1"], "s after 1970 is not a possible time"),
        (["1577836800,1", "1578096000,1"], "its rows are usually 72 h apart: too far for the power of minutes"),
        (["1577836800,1", "1577836800,2", "1577923200,1", "1577923200,2"], "in another column, join the two into one"),
        (["1577836800,", "1577836860,?"], "holds no reading: every value is missing"),
    ],
)
def test_csv_impossible_rows_are_rejected(tmp_path: Path, rows: list[str], error: str) -> None:
    with pytest.raises(SourceError) as caught:
        minute_series(meter_csv.read(written(tmp_path, rows), LAYOUT))
    assert error in str(caught.value)


def test_csv_watts_taken_for_kilowatts_are_reported(tmp_path: Path) -> None:
    path = written(tmp_path, [f"{1577836800 + 60 * k},{230 + k}" for k in range(5)])
    with pytest.raises(SourceError, match=r"line 2: 230 kW is outside .* is it in W\? \(--unit\) \(4 more such rows\)"):
        minute_series(meter_csv.read(path, Layout("time", "power_w", unit="kW")))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "line 1: is empty"),
        (b"\ntime,power_w\n", "line 1: is empty, or its first line is"),
        (b"time,power_w\n", "holds a header and no readings"),
        (b"time,\rpower_w\n1577836800,1\n", "line 1: has lines that end with a carriage return alone: save it"),
        (b"time,power_w\n\n\n", "holds a header and no readings"),
        (b"time:power_w\n1577836800:1\n", "line 1: has no column 'time' among 'time:power_w': is ',' the separator"),
        (b"# meter 7\ntime,power_w\n1577836800,1\n", "'# meter 7': is ',' the separator (--separator), and the header"),
        (b"when,power_w\n1,1\n", "line 1: has no column 'time' among 'when', 'power_w'"),
        (b"1577836800,1\n1577836860,1\n", "among '1577836800', '1': the first line must be a header with the names"),
        (b"time,power_w,time\n1,1,1\n", "line 1: has 2 columns of the name 'time'"),
        ("time,power_w,é\n".encode("latin-1"), "save it as UTF-8, or convert it: iconv"),
        (b"time,power_w\n1577836800,1\n1577836860,\xff\n", "line 3: is not UTF-8 text"),
        (
            "time,power_w\n".encode("utf-16"),
            "is not UTF-8 text: UTF-16 text: save it as UTF-8, or convert it: iconv -f UTF-16",
        ),
        (gzip.compress(b"time,power_w\n" + bytes(range(256)) * 300)[:-9], "cannot be read to its end"),
    ],
)
def test_csv_other_file_is_rejected(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "meter.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        meter_csv.read(path, LAYOUT)
    assert error in str(caught.value)
    assert len(str(caught.value)) < 600


def test_csv_endless_line_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", 500)
    path = tmp_path / "meter.csv"
    path.write_bytes(b"time,power_w\n" + b"1" * 5_000)
    with pytest.raises(SourceError, match="line 2: is longer than any line of readings"):
        meter_csv.read(path, LAYOUT)


def test_csv_unit_is_never_guessed(tmp_path: Path) -> None:
    path = written(tmp_path, ["1577836800,1"], "time,power")
    with pytest.raises(SourceError, match="does not state whether 'power' is in W or kW: use --unit"):
        meter_csv.read(path, Layout("time", "power"))
    assert meter_csv.read(path, Layout("time", "power", unit="kW")).gap_kw.tolist() == [1.0]


def test_csv_zip_of_several_files_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "meter.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(SourceError, match=r"without exactly one file in it \(it holds a\.csv, b\.csv\)"):
        meter_csv.read(path, LAYOUT)


def test_csv_workbook_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "meter.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("xl/worksheets/sheet1.xml", "x")
    with pytest.raises(SourceError, match="is a workbook of a spreadsheet program: save the sheet"):
        meter_csv.read(path, LAYOUT)


def test_csv_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be read \(No such file or directory\)"):
        meter_csv.read(tmp_path / "meter.csv", LAYOUT)


def test_csv_line_numbers_in_a_long_file(tmp_path: Path) -> None:
    lines = [f"{START + timedelta(minutes=k):%Y-%m-%dT%H:%M:%SZ},{k % 2}" for k in range(20_000)]
    table = meter_csv.read(written(tmp_path, lines), LAYOUT)
    assert table.gap_kw.size == 20_000
    assert table.line[-1] == 20_001


@pytest.mark.parametrize("n_bytes", [60, 70, 80, 90])
def test_csv_quoted_field_of_two_lines_may_span_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", n_bytes)
    lines = [f'2020-01-01T00:0{k}:00Z,{k},"a note\nof two lines"' for k in range(6)]
    table = meter_csv.read(written(tmp_path, lines, "time,power_w,note"), LAYOUT)
    assert table.gap_kw.tolist() == [k / 1_000 for k in range(6)]
    assert table.line.tolist() == [3 + 2 * k for k in range(6)]


@pytest.mark.parametrize("first", ["sep=;", "\ufeffsep=;\r"])
def test_csv_separator_that_excel_declares_comes_before_the_header(tmp_path: Path, first: str) -> None:
    path = written(tmp_path, ["time;power_w", "2020-01-01T00:00:00Z;1,5"], first)
    table = meter_csv.read(path, replace(LAYOUT, decimal=","))
    assert (table.gap_kw.tolist(), table.line.tolist()) == ([0.0015], [3])


def test_csv_zone_name_in_a_time_format_is_rejected(tmp_path: Path) -> None:
    """``strptime`` reads it, and returns a time without a zone: UTC would become the local time."""
    path = written(tmp_path, ["2020-01-01 00:00 UTC,1"])
    with pytest.raises(SourceError, match=r"names of time zones \(%Z\) are ambiguous: use %z"):
        meter_csv.read(path, replace(LAYOUT, zone=BERLIN, time_format="%Y-%m-%d %H:%M %Z"))


def test_csv_zip_of_macos_has_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "meter.zip", "w") as archive:
        archive.writestr("meter.csv", "time,power_w\n2020-01-01T00:00:00Z,500\n")
        archive.writestr("__MACOSX/._meter.csv", b"\0\5\x16\7")
    assert meter_csv.read(tmp_path / "meter.zip", LAYOUT).gap_kw.tolist() == [0.5]
