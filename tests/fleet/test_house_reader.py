"""Rows of one house in a Spark worker: read by the rules of a file, and counted if they cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapcast.core.readings.reading import Limits
from gapcast.recordings.recording import Minute, read_recording
from gapcast.recordings.text.layout import FileFormat, Layout
from gapcast_fleet.histories.history import _are_clean
from gapcast_fleet.histories.house_reader import HouseRows, HouseRules, read_house
from gapcast_fleet.histories.survey import HouseSurvey, lines
from tests.fleet.houses import AUTUMN_S, SPRING_S

BERLIN = ZoneInfo("Europe/Berlin")
RULES = HouseRules("W", Limits(), BERLIN)
EPOCH = replace(RULES, time_kind="an epoch number")
YEAR_S = 31_557_600


def local(second: int) -> str:
    return f"{datetime.fromtimestamp(second, BERLIN):%Y-%m-%d %H:%M:%S}"


def rows_of(times: Sequence[str | None], files: Sequence[int] | None = None) -> HouseRows:
    """Return rows of 0 W, 1 W, 2 W ..."""
    return HouseRows(np.array(files or [0] * len(times)), times, np.arange(len(times), dtype=float))


def epoch_rows(seconds: Sequence[float], watts: Sequence[float]) -> HouseRows:
    return HouseRows(np.zeros(len(seconds), np.int64), np.array(seconds) * 1_000, np.array(watts, float))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first_s=st.sampled_from([AUTUMN_S, SPRING_S]).flatmap(lambda s: st.integers(s - 1_800, s + 9_000)),
    steps=st.lists(st.one_of(st.just(10), st.integers(1, 600)), min_size=40, max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_house_reader_equals_a_files_reader(tmp_path: Path, first_s: int, steps: list[int], cuts: list[int]) -> None:
    """This holds however the rows are divided into files, whose order decides which of two equal hours is meant."""
    texts = [local(second) for second in np.cumsum([first_s, *steps]).tolist()]
    csv = tmp_path / "house.csv"
    csv.write_text("\n".join(["t,power_w", *(f"{text},{i}" for i, text in enumerate(texts)), ""]), encoding="utf-8")
    recording = read_recording(csv, FileFormat(Layout("t", "power_w", zone=BERLIN)))
    files = np.searchsorted(np.sort(cuts), np.arange(len(texts)), side="right")
    survey, minutes = read_house("house", rows_of(texts, files.tolist()), RULES)
    found = map(Minute, minutes.minute.tolist(), minutes.gap_kw.tolist(), minutes.is_filled.tolist())
    assert list(found) == list(recording.minutes())
    assert (survey.n_refused, survey.n_duplicates) == (0, recording.report.n_duplicates)
    assert survey.sampling == recording.report.sampling


def test_house_reader_keeps_the_filled_minutes_of_a_clean_file(tmp_path: Path) -> None:
    """A file of `gapcast-trainer prepare` gives the minutes of the CSV from which it was made."""
    assert _are_clean(["time", "gap_kw", "voltage_v", "filled"])
    seconds = SPRING_S + np.cumsum(np.random.default_rng(1).choice([30, 60, 60, 90, 115], 300))
    csv = tmp_path / "house.csv"
    csv.write_text("\n".join(["t,power_w", *(f"{its},{i}" for i, its in enumerate(seconds)), ""]), encoding="utf-8")
    recording = read_recording(csv, FileFormat(Layout("t", "power_w")))
    series = recording.series
    assert series.filled is not None
    n = series.gap_kw.size
    columns = {
        "file": np.zeros(n, np.int64), "row": np.arange(n), "time": 60_000.0 * (series.first_minute + np.arange(n)),
        "power": series.gap_kw, "filled": series.filled.astype(float),
    }  # fmt: skip
    rows = HouseRows.from_table(pa.table(columns).take(np.random.default_rng(2).permutation(n)))
    _, minutes = read_house("house", rows, HouseRules("kW", Limits(), BERLIN, "a time in UTC"))
    found = list(map(Minute, minutes.minute.tolist(), minutes.gap_kw.tolist(), minutes.is_filled.tolist()))
    assert found == list(recording.minutes())
    assert 0 < sum(its.is_filled for its in found) < n
    without = HouseRows.from_table(pa.table(columns | {"filled": pa.nulls(n, pa.float64())}))
    assert without.is_filled is None


def test_house_reader_sorts_rows_by_time_then_file_and_row() -> None:
    seconds = [120, 0, 60, 60, 180]
    rows = epoch_rows([SPRING_S + its for its in seconds], [3, 1, 2, 9, 4])
    survey, (minute, gap_kw, _) = read_house("house", rows, EPOCH)
    assert minute.tolist() == [SPRING_S // 60 + i for i in range(4)]
    assert gap_kw.tolist() == [0.001, 0.002, 0.003, 0.004]
    assert (survey.n_rows, survey.n_duplicates, survey.n_refused) == (5, 1, 0)


def test_house_reader_uses_the_first_row_of_a_time() -> None:
    rows = epoch_rows([SPRING_S + 60 * its for its in (2, 1, 0, 3) * 30], range(120))  # as of thirty files
    survey, (_, gap_kw, _) = read_house("house", rows, EPOCH)
    assert gap_kw.tolist() == [0.002, 0.001, 0.0, 0.003]
    assert survey.n_duplicates == 116


def test_house_reader_repeated_hour_out_of_order_is_refused() -> None:
    seconds = list(range(AUTUMN_S - 7_200, AUTUMN_S + 10_800, 60))
    in_hours = [AUTUMN_S <= its < AUTUMN_S + 7_200 for its in seconds]
    np.random.default_rng(1).shuffle(seconds)
    survey, (minute, _, _) = read_house("house", rows_of([local(its) for its in seconds]), RULES)
    assert survey.n_refused == sum(in_hours) == 120
    assert (
        "occurs twice in Europe/Berlin, and the order of its rows does not show which of the two it is"
        in survey.problem
    )
    assert sorted(minute.tolist()) == [its // 60 for its in sorted(seconds) if not 0 <= its - AUTUMN_S < 7_200]
    late = ["2025-10-26 01:50", "2025-10-26 03:10", "2025-10-26 02:30"]
    assert read_house("house", rows_of(late), RULES)[0].n_refused == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-03-29 02:30", "'2026-03-29 02:30' does not exist in Europe/Berlin"),
        ("soon", "'soon' is neither a time like"),
        (None, "'' is neither a time like"),
        ("1774742400", "is an epoch number, but the row before has a time without an offset"),
        ("1999-12-31 12:00", "a time is missing, before 2000 or after 2099"),
    ],
)
def test_house_reader_unusable_time_is_counted(text: str | None, problem: str) -> None:
    survey, (minute, _, _) = read_house("house", rows_of(["2026-03-29 01:58", "2026-03-29 01:59", text]), RULES)
    assert (survey.n_rows, survey.n_refused, minute.size) == (3, 1, 2)
    assert problem in survey.problem


def test_house_reader_names_the_first_unusable_time() -> None:
    texts = [" 2026-03-29 01:58", "2026-03-29 01:59 ", "soon", "later"]
    survey, (minute, _, _) = read_house("house", rows_of(texts), RULES)
    assert (survey.n_refused, minute.size) == (2, 2)
    assert survey.problem.startswith("'soon' is neither a time")


def test_house_reader_power_out_of_range_is_counted() -> None:
    seconds = [SPRING_S + its for its in (0, 60, 120, float("nan"), 180)]
    survey, (minute, _, _) = read_house("house", epoch_rows(seconds, [1, 2e9, np.inf, 1, np.nan]), EPOCH)
    assert (survey.n_refused, minute.size) == (3, 3)  # one sample, which holds until it becomes unknown
    in_range = epoch_rows(seconds[:2], [1, 2e9])
    assert "2e+06 kW is outside " in read_house("house", in_range, EPOCH)[0].problem
    no_number = epoch_rows(seconds[:2], [1, np.inf])  # as a text such as 1,5 is read
    assert "a text that is not a number: write a number such as 1.5" in read_house("house", no_number, EPOCH)[0].problem


def test_house_reader_row_of_a_wrong_clock_is_refused() -> None:
    seconds = [SPRING_S + 60 * i for i in range(9)]
    survey, (minute, _, _) = read_house("house", epoch_rows([*seconds, 946_684_900], range(10)), EPOCH)
    assert minute.tolist() == [its // 60 for its in seconds]
    assert survey.n_refused == 1
    assert survey.problem == "2000-01-01T00:01:40.000Z is years from the other rows: was the clock wrong?"
    far = [SPRING_S - 18 * YEAR_S, SPRING_S + 17 * YEAR_S]  # from each other, too
    assert read_house("house", epoch_rows([*seconds, *far], range(11)), EPOCH)[0].n_refused == 2


@pytest.mark.parametrize(
    ("name", "rows", "problem"),
    [
        ("", epoch_rows([SPRING_S], [1]), "the rows name no house, or not in UTF-8"),
        ("a", epoch_rows([SPRING_S, SPRING_S + 60], [np.nan, np.nan]), "holds no reading: every value is missing"),
    ],
)
def test_house_without_a_usable_minute_is_refused(name: str, rows: HouseRows, problem: str) -> None:
    survey, (minute, _, _) = read_house(name, rows, EPOCH)
    assert (survey.n_refused, survey.n_readings, minute.size) == (rows.power.size, 0, 0)
    assert problem in survey.problem
    assert not survey.problem.startswith("a:")


def test_house_reader_returns_the_requested_minutes() -> None:
    first = SPRING_S // 60
    rows = epoch_rows([SPRING_S + 60 * i for i in range(9)], range(9))
    survey, (minute, _, _) = read_house("house", rows, replace(EPOCH, first_minute=first + 2, limit=3))
    assert (minute.tolist(), survey.n_readings, survey.n_minutes) == ([first + 2, first + 3, first + 4], 3, 9)
    _, (minute, _, _) = read_house("house", rows, replace(EPOCH, first_minute=first - 5))
    assert minute.tolist() == [first + i for i in range(9)]
    none, (minute, _, _) = read_house("house", rows, replace(EPOCH, first_minute=first + 90))
    assert (minute.size, none.n_readings, none.digest) == (0, 0, survey.digest)


@pytest.mark.parametrize(("share", "day"), [(0.24, 3), (0.25, 3), (0.26, 2), (1.0, 0)])
def test_house_reader_finds_the_last_days_for_validation(share: float, day: int) -> None:
    midnight_s, day_s = SPRING_S // 86_400 * 86_400, 86_400
    seconds = [midnight_s + its * day_s + 60 * i for its in range(4) for i in range(10)]
    survey, _ = read_house("house", epoch_rows(seconds, range(40)), replace(EPOCH, validate_share=share))
    assert survey.validate_minute == (midnight_s + day * day_s) // 60


def test_survey_of_a_fleet_is_summarised() -> None:
    house = HouseSurvey("a", 10, 0, "", 0, 9, 10, 1, 0, 9, 0.1, 1.0, 2.0, "one row a minute", "an epoch number")
    others = [replace(house, name=f"b{i}", sampling=f"every {i} s", n_readings=0, mean_kw=2.0) for i in range(6)]
    text = "\n".join(lines("history", [house, *others, HouseSurvey("c\x1b[2J", 3, 3, "no time")], BERLIN))
    for part in (
        "history: 73 rows, 7 houses",
        "1 house: one row a minute",
        "2 houses: samples at 2 other intervals",
        "70 minutes from 1970-01-01 01:00 to 1970-01-01 01:09 (Europe/Berlin), 7 of them missing",
        "mean 1.8571 kW",
        "3 rows of 1 house refused; the first, of c\\x1b[2J: no time",
        "6 houses have no reading in the requested period",
    ):
        assert part in text, text
