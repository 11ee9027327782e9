"""The demands of a back-test wait for the mean of their window."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gapcast.backtest.demands.demand_tally import DemandTallies
from gapcast.backtest.demands.house_demands import HEADER, DemandFile, HouseDemands
from gapcast.backtest.results.report import demand_table
from gapcast.core.billing.infeasible_limit import InfeasibleLimit
from gapcast.core.billing.options import DemandOptions
from gapcast.core.demand.scores import scores
from gapcast.core.errors import SettingsError
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.window import MAX_FILL_MIN

WINDOW_MIN = 6
START = 600


def run(
    house: HouseDemands, powers_kw: list[float], limit_kw: float = 2.0, p_exceed: float = 0.7, *, start: int = START
) -> None:
    """Add readings from the minute before ``start`` on (NaN: none), and a demand after each."""
    for i, kw in enumerate(powers_kw):
        minute = start - 1 + i
        if math.isnan(kw):
            continue
        house.add_reading(minute, kw, is_measured=True)
        window, elapsed_min = divmod(minute + 1 - start, WINDOW_MIN)
        so_far_kw = 1.0 if elapsed_min else math.nan
        values = [limit_kw, so_far_kw, 1.5, 1.0, 3.0, p_exceed, 0.25, math.nan, 1.25, 0.5, 2.5, 0.1, 0.75]
        house.add_demand(start + window * WINDOW_MIN, WINDOW_MIN, (minute, elapsed_min, values, kw))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(("n_missing", "mean_of_gap_kw"), [(MAX_FILL_MIN, 5.0), (MAX_FILL_MIN + 1, None)])
def test_short_gap_in_a_window_is_interpolated(tmp_path: Path, n_missing: int, mean_of_gap_kw: float | None) -> None:
    powers_kw = [1.0] * 12 + [9.0] * (18 - n_missing)
    expected_kw = sum(powers_kw) / len(powers_kw)
    if mean_of_gap_kw is not None:
        expected_kw = (sum(powers_kw) + n_missing * mean_of_gap_kw) / 30
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        for i, kw in zip((*range(12), *range(12 + n_missing, 30)), powers_kw, strict=True):
            house.add_reading(START + i, kw, is_measured=True)
            if not i:
                house.add_demand(START, 30, (START, 1, [2.0, 1.0, 1.5, 1.0, 3.0, 0.7, 0.25, *[1.0] * 6], kw))
        house.finish()
    assert [float(row["actual_kw"]) for row in read(tmp_path / "demand.csv")] == [pytest.approx(expected_kw, abs=1e-6)]


def test_window_of_imports_alone_has_no_negative_minutes(tmp_path: Path) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(imports_only=True), file)
        run(house, [1.0, 3.0, 3.0, -9.0, -9.0, 3.0, 3.0])
        house.finish()
    assert {float(row["actual_kw"]) for row in read(tmp_path / "demand.csv")} == {2.0}


def test_window_is_scored_and_written_once_it_is_over(tmp_path: Path) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        run(house, [1.0, *[3.0] * WINDOW_MIN, 1.0])
        house.finish()
    rows = read(tmp_path / "demand.csv")
    assert [int(row["elapsed_min"]) for row in rows] == list(range(WINDOW_MIN))
    assert tuple(rows[0]) == HEADER
    assert rows[0] == {
        "device": "a", "observed_at": "1970-01-01T09:59:00Z", "window_start": "1970-01-01T10:00:00Z",
        "elapsed_min": "0", "limit_kw": "2.0", "so_far_kw": "", "expected_kw": "1.5", "lower_kw": "1.0",
        "upper_kw": "3.0", "p_exceed": "0.7", "headroom_kw": "0.25", "actual_kw": "3.0", "exceeded": "1",
        "next_limit_kw": "", "next_expected_kw": "1.25", "next_lower_kw": "0.5", "next_upper_kw": "2.5",
        "next_p_exceed": "0.1", "next_headroom_kw": "0.75",
    }  # fmt: skip
    found = scores.scores_of(house.sums, WINDOW_MIN)
    assert (found.n_windows, found.n_events) == (1, 1)
    assert found.by_elapsed[0].brier == pytest.approx(0.3**2)


def test_minutes_of_a_short_gap_are_interpolated(tmp_path: Path) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        run(house, [1.0, 3.0, math.nan, math.nan, 6.0, 5.0, 5.0])
        house.finish()
    assert {row["actual_kw"] for row in read(tmp_path / "demand.csv")} == {"4.666667"}  # 4 and 5 kW between


def test_window_of_half_known_minutes_has_their_mean(tmp_path: Path) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        run(house, [1.0, 3.0, 4.0, 5.0, *[math.nan] * 6, 1.0])
        house.finish()
    assert {row["actual_kw"] for row in read(tmp_path / "demand.csv")} == {"4.0"}


def test_window_of_fewer_known_minutes_is_left_out() -> None:
    house = HouseDemands("a", DemandOptions())
    run(house, [1.0, 3.0, 4.0, *[math.nan] * 7, 1.0])
    house.finish()
    assert scores.scores_of(house.sums, WINDOW_MIN).n_windows == 0


@pytest.mark.parametrize("n_known", [3, WINDOW_MIN - 1, WINDOW_MIN])
def test_window_in_which_the_readings_end_is_left_out(tmp_path: Path, n_known: int) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        run(house, [1.0, *[3.0] * n_known])
        house.finish()
    n_windows = int(n_known == WINDOW_MIN)
    assert scores.scores_of(house.sums, WINDOW_MIN).n_windows == n_windows
    assert len(read(tmp_path / "demand.csv")) == n_windows * WINDOW_MIN


def test_filled_minutes_are_not_known() -> None:
    house = HouseDemands("a", DemandOptions())
    run(house, [1.0])
    for minute in range(START, START + WINDOW_MIN):
        house.add_reading(minute, 3.0, is_measured=False)
    house.finish()
    assert scores.scores_of(house.sums, WINDOW_MIN).n_windows == 0


def test_time_that_goes_back_ends_the_window() -> None:
    house = HouseDemands("a", DemandOptions())
    run(house, [1.0, *[3.0] * WINDOW_MIN])
    run(house, [1.0, *[1.0] * WINDOW_MIN])
    house.finish()
    found = scores.scores_of(house.sums, WINDOW_MIN)
    assert (found.n_windows, found.n_events) == (2, 1)


@pytest.mark.parametrize(
    ("n_again", "expected"), [(2, []), (3, [("0", "1.0"), ("1", "1.0"), ("2", "1.0"), ("3", "1.0")])]
)
def test_window_measured_again_has_nothing_of_before(
    tmp_path: Path, n_again: int, expected: list[tuple[str, str]]
) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        run(house, [9.0] * WINDOW_MIN)
        run(house, [*[1.0] * (n_again + 1), *[math.nan] * (MAX_FILL_MIN + 1), 1.0])
        house.finish()
    assert [(row["elapsed_min"], row["actual_kw"]) for row in read(tmp_path / "demand.csv")] == expected


def test_each_window_of_a_long_history_is_scored() -> None:
    house, n_windows = HouseDemands("a", DemandOptions()), 100
    run(house, [1.0, *[3.0] * (n_windows * WINDOW_MIN)])
    house.finish()
    assert scores.scores_of(house.sums, WINDOW_MIN).n_windows == n_windows


def test_limit_that_does_not_apply_is_blank_and_unscored(tmp_path: Path) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        run(house, [1.0, *[3.0] * WINDOW_MIN], limit_kw=math.nan, p_exceed=0.0)
        house.finish()
    assert {(row["limit_kw"], row["exceeded"]) for row in read(tmp_path / "demand.csv")} == {("", "")}
    assert scores.scores_of(house.sums, WINDOW_MIN).n_windows == 0


def test_window_at_its_limit_is_not_above_it(tmp_path: Path) -> None:
    with DemandFile(tmp_path / "demand.csv") as file:
        house = HouseDemands("a", DemandOptions(), file)
        run(house, [1.0, *[2.0] * WINDOW_MIN], limit_kw=2.0)
        house.finish()
    assert {row["exceeded"] for row in read(tmp_path / "demand.csv")} == {"0"}
    assert scores.scores_of(house.sums, WINDOW_MIN).n_events == 0


def test_days_are_those_of_the_zone() -> None:
    """Two windows on both sides of midnight UTC, which is in the afternoon in Phoenix."""
    house = HouseDemands("a", DemandOptions(), zone=ZoneInfo("America/Phoenix"))
    run(house, [1.0] * (1 + 2 * WINDOW_MIN), start=DAY_MIN - WINDOW_MIN)
    house.finish()
    found = scores.scores_of(house.sums, WINDOW_MIN)
    assert (found.n_windows, found.n_days) == (2, 1)


def test_many_readings_without_demand_are_dropped() -> None:
    house = HouseDemands("a", DemandOptions())
    for minute in range(START - 1_000, START - 1):
        house.add_reading(minute, 9.0, is_measured=True)
    run(house, [1.0, *[3.0] * WINDOW_MIN])
    house.finish()
    assert scores.scores_of(house.sums, WINDOW_MIN).n_events == 1


def test_failed_run_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "demand.csv"
    path.write_text("before")
    with pytest.raises(RuntimeError), DemandFile(path):
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_cannot_be_written_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--demand-out .*: cannot be written"):
        DemandFile(tmp_path)


def test_table_shows_rules_and_alarms() -> None:
    house = HouseDemands("a", DemandOptions())
    run(house, [1.0, *[3.0] * WINDOW_MIN])
    house.finish()
    tallies = DemandTallies({"a": (house.sums, WINDOW_MIN)})
    scored = tallies.for_house("a")
    assert scored is not None
    low = InfeasibleLimit("a", 0.1, 0.3)
    assert [line for line in demand_table("a", scored, low) if "warning" in line] == [f"  warning: {low.text}"]
    lines = list(demand_table("a", scored))
    assert lines[0] == "a: demand, 1 windows with a limit, 1 of them above it"
    assert lines[2].split() == ["0", "1", "1", "0.0900", "1.0000", "-", "0.3567"]
    assert lines[6].split() == ["gapcast", "1", "30.0", "0", "100%", "100%"]
    assert tallies.for_house("b") is None


def test_table_without_windows_is_one_line() -> None:
    empty = scores.scores_of(scores.initial_sums(), WINDOW_MIN)
    assert list(demand_table("a", empty)) == ["a: demand, 0 windows with a limit, 0 of them above it"]


def test_overall_scores_need_windows_of_one_length() -> None:
    sums = scores.initial_sums()
    assert DemandTallies({"a": (sums, 15), "b": (sums, 60)}).overall() is None
    assert DemandTallies({"a": (sums, 15), "b": (sums, 15)}).overall() is not None
