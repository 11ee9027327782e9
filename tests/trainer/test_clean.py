"""The checks on a table, the report, and the clean file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.synthetic import START, row, rows, write_text
from trainer import clean, cleanfile
from trainer.clean import Report, Series
from trainer.datasets import uci
from trainer.errors import DatasetError
from trainer.files import whole, write_whole

NAN = float("nan")


def checked(folder: Path, lines: list[str]) -> tuple[Series, Report]:
    return clean.check(uci.read(write_text(folder / "raw.txt", lines)))


def test_the_report_counts_what_is_missing(tmp_path: Path) -> None:
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


def test_a_file_without_a_gap_reports_none(tmp_path: Path) -> None:
    _, report = checked(tmp_path, rows([1.0, 2.0]))
    assert (report.n_gaps, report.longest_gap_min, report.longest_gap_from) == (0, 0, None)
    assert "longest" not in "\n".join(report.lines())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (row(START + timedelta(minutes=1), 1.0), "line 5: 2020-01-01T00:01:00Z is earlier than the row before it"),
        (row(START + timedelta(minutes=2), 1.0), "line 5: 2020-01-01T00:02:00Z is given twice"),
        (row(START + timedelta(minutes=3, seconds=30), 1.0), "line 5: 2020-01-01T00:03:30Z is not on the one-minute"),
        (row(START + timedelta(minutes=3), 1230.0), "line 5: 1230 kW is outside of -100 to 100 kW: is it in W?"),
        (row(START - timedelta(days=9_000), 1.0), "line 5: 1995-05-12T00:00:00Z is no possible time"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    lines = rows([1.0] * 6)
    lines[3] = line
    with pytest.raises(DatasetError, match=r"raw\.txt, line 5: ") as caught:
        checked(tmp_path, lines)
    assert said in str(caught.value)


def test_more_of_the_same_is_counted(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 2: .*\(5 more such rows\)"):
        checked(tmp_path, rows([4_000.0 + k for k in range(6)]))


def test_nothing_but_missing_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no reading"):
        checked(tmp_path, rows([NAN, NAN]))


def test_a_clean_file_gives_its_series_back(tmp_path: Path) -> None:
    series, report = checked(tmp_path, rows([1.1, NAN, 0.123, 3.0]))
    path = tmp_path / "out" / "clean.csv"
    cleanfile.write(series, report, path)
    assert path.read_text() == (
        "minute,gap_kw\n2020-01-01T00:00:00Z,1.1\n2020-01-01T00:02:00Z,0.123\n2020-01-01T00:03:00Z,3.0\n"
    )
    found = cleanfile.read(path)
    assert (found.series.first_minute, found.report) == (series.first_minute, report)
    np.testing.assert_array_equal(found.series.gap_kw, series.gap_kw)


def test_a_clean_file_of_many_blocks_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series, report = checked(tmp_path, rows([0.001 * k for k in range(50)]))
    cleanfile.write(series, report, tmp_path / "a.csv")
    monkeypatch.setattr(cleanfile, "_ROWS_AT_ONCE", 7)
    cleanfile.write(series, report, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "is not there"),
        (lambda path: cleanfile.report_path(path).unlink(), "is not there"),
        (lambda path: path.write_text(path.read_text() + "2020-01-01T00:09:00Z,1.0\n"), "is not the file that"),
        (lambda path: cleanfile.report_path(path).write_text("{"), "is no report"),
        (lambda path: cleanfile.report_path(path).write_text("[]"), "is no report"),
        (lambda path: cleanfile.report_path(path).write_text('{"clean_sha256": "0"}'), "is no report"),
    ],
)
def test_a_clean_file_that_was_touched_is_refused(tmp_path: Path, spoil: object, said: str) -> None:
    path = tmp_path / "clean.csv"
    cleanfile.write(*checked(tmp_path, rows([1.0, 2.0])), path)
    assert callable(spoil)
    spoil(path)
    with pytest.raises(DatasetError, match="gapcast-trainer prepare") as caught:
        cleanfile.read(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_file_that_fails_half_way_leaves_what_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "x.csv"
    write_whole(path, "before")

    def write_half() -> None:
        with whole(path) as temporary:
            temporary.write_text("half of it")
            assert temporary.suffix == ".csv"
            raise failure

    with pytest.raises(failure):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
