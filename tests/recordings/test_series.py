"""The checks on a table, and the report."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gapcast.core.errors import SourceError
from gapcast.recordings.formats import uci
from gapcast.recordings.minutes.report import Report
from gapcast.recordings.minutes.series import Series, minute_series
from tests.support.uci_files import START, row, rows, write_text

NAN = float("nan")


def checked(folder: Path, lines: list[str]) -> tuple[Series, Report]:
    return minute_series(uci.read(write_text(folder / "raw.txt", lines)))


def test_report_counts_missing_minutes(tmp_path: Path) -> None:
    absent = rows([1.0, NAN, NAN, 2.0, NAN, *[3.0] * 4])
    del absent[6:8]  # two minutes without a row, between two readings
    series, report = checked(tmp_path, [*absent, *rows([NAN] * 7 + [0.5], START + timedelta(minutes=9))])
    assert (report.n_minutes, report.n_readings, report.n_missing, report.n_missing_rows) == (17, 5, 12, 2)
    assert (report.n_gaps, report.n_gaps_filled, report.longest_gap_min) == (4, 3, 7)
    assert report.longest_gap_from == "2020-01-01T00:09:00Z"
    assert (report.first, report.last) == ("2020-01-01T00:00:00Z", "2020-01-01T00:16:00Z")
    assert (report.min_kw, report.mean_kw, report.max_kw) == (0.5, 1.9, 3.0)
    assert np.isnan(series.gap_kw).sum() == 12
    assert "7 min from 2020-01-01T00:09:00Z" in "\n".join(report.lines())


def test_check_keeps_other_columns_aligned(tmp_path: Path) -> None:
    absent = rows([1.0, NAN, 2.0, 3.0])
    del absent[2]
    series, report = checked(tmp_path, absent)
    assert report.features == tuple(series.extra) == ("reactive_kvar", "voltage_v", "current_a")
    np.testing.assert_array_equal(series.extra["voltage_v"], [240.0, np.nan, np.nan, 240.0])


def test_report_without_gaps(tmp_path: Path) -> None:
    _, report = checked(tmp_path, rows([1.0, 2.0]))
    assert (report.n_gaps, report.longest_gap_min, report.longest_gap_from) == (0, 0, None)
    assert "longest" not in "\n".join(report.lines())


def test_report_lines_have_the_local_time_too(tmp_path: Path) -> None:
    _, report = checked(tmp_path, rows([1.0, 2.0]))
    (span,) = (line for line in report.lines(ZoneInfo("Asia/Kolkata")) if "minutes from" in line)
    assert span == (
        "2 minutes from 2020-01-01T00:00:00Z to 2020-01-01T00:01:00Z "
        "(2020-01-01 05:30 to 2020-01-01 05:31 in Asia/Kolkata)"
    )
    assert "2 minutes from 2020-01-01T00:00:00Z to 2020-01-01T00:01:00Z" in report.lines()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (row(START + timedelta(minutes=1), 1.0), "line 5: 2020-01-01T00:01:00Z is earlier than the row before it"),
        (row(START + timedelta(minutes=3, seconds=30), 1.0), "line 5: 2020-01-01T00:03:30Z is not on the one-minute"),
        (
            row(START + timedelta(minutes=3), 1230.0),
            "line 5: 1230 kW is outside -100 to 100 kW: is it in W? (--unit)",
        ),
        (row(START - timedelta(days=9_000), 1.0), "line 5: 1995-05-12T00:00:00Z is not a possible time"),
    ],
)
def test_check_bad_row_is_named(tmp_path: Path, line: str, error: str) -> None:
    lines = rows([1.0] * 6)
    lines[3] = line
    with pytest.raises(SourceError, match=r"raw\.txt, line 5: ") as caught:
        checked(tmp_path, lines)
    assert error in str(caught.value)


def test_series_first_of_rows_with_one_time_counts(tmp_path: Path) -> None:
    series, report = checked(
        tmp_path,
        [*rows([1.0, 2.0]), row(START + timedelta(minutes=1), 9.0), *rows([3.0], START + timedelta(minutes=2))],
    )
    assert series.gap_kw.tolist() == [1.0, 2.0, 3.0]
    assert (report.n_rows, report.n_readings, report.n_duplicates) == (4, 3, 1)
    assert report.lines()[-1] == "1 row has the time of the row before: ignored"


def test_series_many_rows_with_one_time_raise_a_question(tmp_path: Path) -> None:
    """The rows of two meters in turn, or samples whose times have no seconds."""
    pairs = zip(rows([1.0] * 4), rows([2.0] * 4), strict=True)
    _, report = checked(tmp_path, [line for pair in pairs for line in pair])
    assert report.lines()[-1].startswith("4 rows have the time of the row before: ignored; has the file several meters")


def test_check_counts_further_bad_rows(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 2: .*\(5 more such rows\)"):
        checked(tmp_path, rows([4_000.0 + k for k in range(6)]))


def test_series_few_impossible_powers_are_ignored(tmp_path: Path) -> None:
    powers_kw = [1.0] * 300
    powers_kw[7] = powers_kw[200] = 1_000.0
    series, report = checked(tmp_path, rows(powers_kw))
    assert np.flatnonzero(np.isnan(series.gap_kw)).tolist() == [7, 200]
    assert (report.n_rows, report.n_missing, report.n_missing_rows, report.max_kw) == (300, 2, 0, 1.0)
    expected = "2 rows ignored: in line 9, 1000 kW is outside -100 to 100 kW: is it in W? (--unit)"
    assert report.lines()[-1] == expected


def test_series_impossible_power_does_not_count_as_first_of_its_time(tmp_path: Path) -> None:
    lines = rows([1.0] * 300)
    series, report = checked(tmp_path, [*lines[:7], row(START + timedelta(minutes=7), 1_000.0), *lines[7:]])
    assert not np.isnan(series.gap_kw).any()
    assert report.n_duplicates == 0


def test_check_one_in_a_hundred_powers_outside_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 101: 1000 kW is outside"):
        checked(tmp_path, rows([1.0] * 99 + [1_000.0]))


@pytest.mark.parametrize("idle", [0.0, NAN], ids=["zero", "missing"])
def test_check_powers_in_watts_of_a_load_that_is_seldom_on_are_rejected(tmp_path: Path, idle: float) -> None:
    """A kettle's 2000 W are less than 1 % of the rows, but all that shows the unit."""
    with pytest.raises(
        SourceError, match=r"line 997: 2000 kW is outside .* is it in W\? \(--unit\) \(4 more such rows\)"
    ):
        checked(tmp_path, rows([idle] * 995 + [2_000.0] * 5))


def test_check_only_missing_values_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no reading"):
        checked(tmp_path, rows([NAN, NAN]))
