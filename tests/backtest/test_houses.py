"""Files as houses: names, the part that is read, batches, and errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapcast.backtest.forecasts.weeks import Weeks
from gapcast.backtest.inputs.houses import FilePart, minutes_of, name_houses, side_by_side
from gapcast.backtest.processes import run_files
from gapcast.backtest.results.report import document, lines
from gapcast.config.settings import Settings
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.time_grid import WEEK_MIN, minute_label
from gapcast.recordings.recording import Minute, read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from tests.core.learning.outcomes import outcomes, streams
from tests.support.models import shipped_models

#: 2010-11-01T00:00Z
FIRST = 21_476_160
COLUMNS = FileFormat(Layout("ts", "kw", unit="kW"))


def house(path: Path, n: int, first: int = FIRST) -> Path:
    rows = [f"{(first + i) * 60},{(i % 9) / 4}" for i in range(n)]
    path.write_text("\n".join(["ts,kw", *rows, ""]), encoding="utf-8")
    return path


def settings(**sections: object) -> Settings:
    return Settings.model_validate({"models": {"path": shipped_models()}} | sections)


def test_house_name_has_only_topic_characters() -> None:
    files = ["a/house 1.csv.gz", "b.csv", "Köln+2.zip", "x" * 80, ".csv"]
    assert name_houses([Path(file) for file in files]) == ["house_1", "b", "K_ln_2", "x" * 64, "house"]
    with pytest.raises(SettingsError, match=r"b/home\.csv: another file is also named home"):
        name_houses([Path("a/home.csv.gz"), Path("b/home.csv")])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (FilePart(), range(10)),
        (FilePart(limit=3), range(3)),
        (FilePart(start="2010-11-01T00:04"), range(4, 10)),
        (FilePart(start="2010-11-01T01:08+01:00", limit=1), range(8, 9)),
        (FilePart(limit=99), range(10)),
        (FilePart(start="2010-11-01T01:04", zone=ZoneInfo("Europe/Paris")), range(4, 10)),
    ],
)
def test_house_reads_the_requested_part(tmp_path: Path, part: FilePart, expected: range) -> None:
    found = minutes_of(read_recording(house(tmp_path / "home.csv", 10), COLUMNS), part)
    assert [minute.minute - FIRST for minute in found] == list(expected)


def test_house_without_readings_is_an_error(tmp_path: Path) -> None:
    file = house(tmp_path / "home.csv", 3)
    with pytest.raises(SourceError, match=r"home\.csv: has no reading from 2011-01-01 on"):
        minutes_of(read_recording(file, COLUMNS), FilePart(start="2011-01-01"))
    with pytest.raises(SourceError, match=r"empty\.csv: holds a header and no readings$"):
        read_recording(house(tmp_path / "empty.csv", 0), COLUMNS)
    with pytest.raises(SettingsError, match="--start 'noon'"):
        minutes_of(read_recording(file, COLUMNS), FilePart(start="noon"))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(1, 40))
def test_batches_keep_order_and_size(lengths: list[int], n_at_once: int) -> None:
    def minutes(n: int) -> Iterator[Minute]:
        return (Minute(FIRST + i, float(i)) for i in range(n))

    batches = list(side_by_side({f"h{i}": minutes(n) for i, n in enumerate(lengths)}, n_at_once))
    assert all(1 <= len(batch) <= max(n_at_once, len(lengths)) for batch in batches)
    for i, n in enumerate(lengths):
        assert [r.minute - FIRST for batch in batches for r in batch if r.device == f"h{i}"] == list(range(n))


@pytest.mark.long
@given(streams(huge=1e3))
def test_weeks_match_the_slow_reference(stream: list[Outcomes]) -> None:
    weeks, reference = Weeks(), dict[tuple[int, int], list[list[float]]]()
    for some in stream:
        weeks.add(some)
        for row, minute, actual, last, (mean, median, lower, upper) in zip(
            *(column.tolist() for column in (some.rows, some.minutes, some.actual_kw, some.last_kw, some.published_kw)),
            strict=True,
        ):
            middle = mean if np.isnan(median) else median
            figures = [(mean - actual) ** 2, abs(middle - actual), (last - actual) ** 2, abs(last - actual)]
            figures += [float(lower <= actual <= upper) if not np.isnan(upper - lower) else np.nan, upper - lower]
            reference.setdefault((row, minute // WEEK_MIN), []).append(figures)
    for row in range(5):
        of_row = sorted(week for each, week in reference if each == row)
        found = weeks.for_row(row)
        assert [week.begins_at for week in found] == [minute_label(week * WEEK_MIN) for week in of_row]
        for week, one in zip(of_row, found, strict=True):
            assert one.n == len(reference[row, week])
            wanted = np.mean(reference[row, week], axis=0)
            bounds = [each[4:] for each in reference[row, week] if not np.isnan(each[5])]
            wanted[4:] = np.mean(bounds, axis=0) if bounds else np.nan
            found_in = np.array([np.nan if figure is None else figure for figure in one[2:]])
            np.testing.assert_allclose(found_in, wanted, rtol=1e-9, atol=1e-9)


def test_weeks_without_an_interval_have_no_coverage() -> None:
    nan = np.nan
    weeks, both = Weeks(), outcomes([0, 0], FIRST, 1.0, [[1.0, nan, nan, nan], [1.0, 1.0, 0.5, 2.0]])
    weeks.add(both)
    (week,) = weeks.for_row(0)
    assert (week.n, week.coverage, week.width_kw) == (2, 1.0, 1.5)
    weeks = Weeks()
    weeks.add(both.select(np.array([True, False])))
    (week,) = weeks.for_row(0)
    assert (week.n, week.coverage, week.width_kw) == (1, None, None)
    json.dumps(week._asdict(), allow_nan=False)


def test_weeks_of_an_unknown_house_are_empty() -> None:
    weeks = Weeks()
    weeks.add(outcomes([0], FIRST, 1.0))
    assert weeks.for_row(3) == []


def test_houses_over_the_limit_are_rejected(tmp_path: Path) -> None:
    files = [house(tmp_path / f"{name}.csv", 3) for name in "ab"]
    for section, key in (("learning", "max_devices"), ("devices", "max")):
        message = f"{section}.{key}: 1 is too few, because each file is a tracked device; set it to at least 2"
        with pytest.raises(SettingsError, match=re.escape(message)):
            run_files(settings(**{section: {key: 1}}), files, COLUMNS, FilePart())


@pytest.mark.long
def test_houses_together_equal_separate_runs(tmp_path: Path) -> None:
    files = [house(tmp_path / "a.csv", 300), house(tmp_path / "b.csv", 120, FIRST + 999)]
    both = run_files(settings(), files, COLUMNS, FilePart())
    assert both.n_readings == 420
    assert both.scored.n == sum(found.scored.n for found in both.houses) == 294 + 114
    for found, file in zip(both.houses, files, strict=True):
        alone = run_files(settings(), [file], COLUMNS, FilePart()).houses[0]
        assert (found.name, found.scored.n) == (alone.name, alone.scored.n)
        assert found.scored.mse_kw2 == pytest.approx(alone.scored.mse_kw2, abs=1e-5)
        assert found.scored.width_kw == pytest.approx(alone.scored.width_kw, abs=1e-5)


def test_scored_from_excludes_earlier_forecasts(tmp_path: Path) -> None:
    file = house(tmp_path / "home.csv", 200)
    whole = run_files(settings(), [file], COLUMNS, FilePart()).houses[0]
    late = run_files(settings(), [file], COLUMNS, FilePart(score_from="2010-11-01T03:00"))
    assert (whole.scored.n, late.scored.n, late.houses[0].scored.n) == (194, 15, 15)
    assert late.houses[0].live == whole.live
    assert sum(week.n for week in late.houses[0].weeks) == 15
    with pytest.raises(SettingsError, match="--score-from 'late'"):
        run_files(settings(), [file], COLUMNS, FilePart(score_from="late"))


def test_scored_from_after_the_readings_of_a_house_names_it(tmp_path: Path) -> None:
    files = [house(tmp_path / "long.csv", 200), house(tmp_path / "short.csv", 20)]
    with pytest.raises(
        SettingsError, match=r"03:00: is after the last reading of .*short\.csv \(2010-11-01T00:19:00Z\):"
    ):
        run_files(settings(), files, COLUMNS, FilePart(score_from="2010-11-01T03:00"))
    limited = FilePart(score_from="2010-11-01T03:00", limit=100)
    with pytest.raises(SettingsError, match=r"long\.csv \(2010-11-01T01:39:00Z, with --limit\): name an earlier time"):
        run_files(settings(), files[:1], COLUMNS, limited)


def test_report_without_outcomes(tmp_path: Path) -> None:
    files = [house(tmp_path / f"{name}.csv", n) for name, n in (("a", 1), ("b", 4))]
    found = run_files(settings(), files, COLUMNS, FilePart())
    text = list(lines(found))
    assert text[:2] == ["a: 0 forecasts scored", "  nothing to score: no forecast has an outcome"]
    assert text[4].startswith("all 2 houses: 0")
    report = document(found)
    assert (report["n_readings"], report["scored"]["n"], report["scored"]["mse_kw2"]) == (5, 0, None)
    assert report["houses"]["a"]["weeks"] == []


def test_report_has_a_line_for_each_member_and_the_interval(tmp_path: Path) -> None:
    found = run_files(settings(), [house(tmp_path / "home.csv", 200)], COLUMNS, FilePart())
    text = list(lines(found))
    assert text[0] == "home: 194 forecasts scored"
    assert [line.split()[0] for line in text[2:-3]] == list(found.scored.members)
    assert text[-3].startswith("  blend (published) ")
    assert text[-2].startswith("  interval: ")
    assert text[-1].startswith("200 readings in ")
