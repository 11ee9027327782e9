"""The demands of a back-test equal the engine's step by step, and are written to the file, the report and JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gapcast.backtest.demands.demand_tally import DemandRequest
from gapcast.backtest.inputs.engine_settings import with_outlooks
from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.processes import run_files
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results.report import document, lines
from gapcast.backtest.results.results import Backtest
from gapcast.backtest.run import run_houses
from gapcast.cli import main
from gapcast.config.sections.demand import DemandSettings
from gapcast.core.billing.options import DemandOptions, SiteDemandOptions
from gapcast.core.demand.demand import Demand
from gapcast.core.engine import Engine
from gapcast.core.learning.ensemble.ensemble import Ensemble
from gapcast.core.learning.ensemble.options import EnsembleOptions
from gapcast.core.outlook.options import OutlookConfig
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import DAY_MIN, minute_label
from gapcast.recordings.recording import Minute
from gapcast.recordings.text.layout import FileFormat, Layout
from tests.backtest.test_outlooks import csv_file, settings_with
from tests.support.houses import FIRST, Smooth, house_kw
from tests.support.outlook_model import OutlookModel

pytestmark = pytest.mark.usefixtures("restored_logs")

LIMIT_KW = 0.6
LIMITED = SiteDemandOptions(DemandOptions(limit_kw=LIMIT_KW))


def engine() -> Engine:
    """An engine of one model, whose demands have a limit."""
    published = Smooth(lead_times_min=(1, 2, 3, 4, 5))
    return Engine(
        published,
        ensemble=Ensemble((published,), EnsembleOptions()),
        outlook=OutlookConfig(OutlookModel()),
        demand=LIMITED,
    )


def house(n: int, seed: int) -> list[Minute]:
    """``n`` minutes with a short and a long gap, and filled minutes."""
    kw = house_kw(n, seed)
    without = {200, 201, *range(300, 320)}
    return [Minute(FIRST + i, float(kw[i]), i in (250, 251)) for i in range(n) if i not in without]


def run(houses: dict[str, list[Minute]], out: Path | None = None, scored_from: int | None = None) -> Backtest:
    of_each = {name: iter(minutes) for name, minutes in houses.items()}
    return run_houses(engine(), of_each, scored_from, request=BacktestRequest(demand=DemandRequest(LIMITED, out)))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def step_by_step(houses: dict[str, list[Minute]]) -> dict[tuple[str, str], Demand]:
    """The demands of the service's engine by device and label, with one reading at a time."""
    own, found = engine(), dict[tuple[str, str], Demand]()
    for name, minutes in houses.items():
        for minute in minutes:
            accepted = own.accept([Reading(name, minute.minute, minute.gap_kw, False, None, minute.is_filled)])
            demands = own.demand(accepted, own.outlook(accepted, own.forecast(accepted, 7)))
            found |= {(one.device, minute_label(one.observed_minute)): one for one in demands or ()}
            own.learn()
    return found


@pytest.mark.long
def test_backtest_demands_equal_the_engines(tmp_path: Path) -> None:
    houses = {"a": house(400, 1), "b": house(330, 2)}
    run(houses, tmp_path / "demand.csv")
    demands = step_by_step(houses)
    rows = read(tmp_path / "demand.csv")
    assert len(rows) > 600
    for row in rows:
        running = demands[row["device"], row["observed_at"]].running
        assert row["window_start"] == minute_label(running.start_minute)
        assert int(row["elapsed_min"]) == running.elapsed_min
        assert float(row["p_exceed"]) == pytest.approx(running.p_exceed, abs=1e-6)
        assert float(row["headroom_kw"]) == pytest.approx(running.headroom_kw, abs=1e-6)
        assert row["exceeded"] == str(int(float(row["actual_kw"]) > LIMIT_KW))


def test_backtest_demand_scores_equal_a_plain_recomputation(tmp_path: Path) -> None:
    found = run({"a": house(400, 1)}, tmp_path / "demand.csv")
    rows = read(tmp_path / "demand.csv")
    assert found.demands is not None
    scored = found.demands.for_house("a")
    assert scored is not None
    assert scored.n_windows == len({row["window_start"] for row in rows})
    for third in scored.by_elapsed:
        own = [row for row in rows if int(row["elapsed_min"]) == third.elapsed_min]
        squared = [(float(row["p_exceed"]) - int(row["exceeded"])) ** 2 for row in own]
        assert third.n == len(own)
        assert third.brier == pytest.approx(sum(squared) / len(own), abs=1e-5)


def test_mean_of_a_window_has_the_reading_that_was_held_before_it(tmp_path: Path) -> None:
    """A reading more than a day after the last one is held until the next; as in the engine, both are then known."""
    after = FIRST + 2 * DAY_MIN
    minutes = [Minute(minute, 1.0, False) for minute in (*range(FIRST, FIRST + 45), *range(after, after + 30))]
    minutes[45] = Minute(after, 16.0, False)
    run({"a": minutes}, tmp_path / "demand.csv")
    rows = [row for row in read(tmp_path / "demand.csv") if row["window_start"] == minute_label(after)]
    assert {(row["actual_kw"], row["exceeded"]) for row in rows} == {("2.0", "1")}


@pytest.mark.parametrize(("n_filled", "is_scored"), [(7, True), (8, False)])
def test_window_of_which_most_minutes_are_filled_is_left_out(tmp_path: Path, n_filled: int, is_scored: bool) -> None:
    minutes = [Minute(FIRST + i, 1.0, 15 <= i < 15 + n_filled) for i in range(60)]
    run({"a": minutes}, tmp_path / "demand.csv")
    assert (minute_label(FIRST + 15) in {row["window_start"] for row in read(tmp_path / "demand.csv")}) == is_scored


@pytest.mark.parametrize(("n_before", "is_scored"), [(9, True), (8, False)])
def test_reading_that_begins_a_window_is_no_measured_minute_of_it(
    tmp_path: Path, n_before: int, is_scored: bool
) -> None:
    minutes = [Minute(minute, 1.0, False) for minute in range(FIRST + 15 - n_before, FIRST + 60)]
    run({"a": minutes}, tmp_path / "demand.csv")
    assert (minute_label(FIRST) in {row["window_start"] for row in read(tmp_path / "demand.csv")}) == is_scored


@pytest.mark.long
def test_demands_scored_from_a_date_are_written_from_then_on(tmp_path: Path) -> None:
    run({"a": house(400, 1)}, tmp_path / "demand.csv", scored_from=FIRST + 100)
    assert min(row["observed_at"] for row in read(tmp_path / "demand.csv")) == minute_label(FIRST + 100)


@pytest.mark.long
def test_backtest_report_has_a_table_of_demands() -> None:
    found = run({"a": house(400, 1), "b": house(330, 2)})
    text = list(lines(found))
    assert [line.split(":")[0] for line in text if ": demand, " in line] == ["a", "b", "all 2 houses"]
    whole = json.loads(json.dumps(document(found), allow_nan=False))
    assert whole["demand"]["n_windows"] == sum(whole["houses"][name]["demand"]["n_windows"] for name in "ab")
    assert len(whole["demand"]["elapsed"][0]["reliability"]) == 10


@pytest.mark.long
def test_backtest_report_warns_of_a_limit_that_is_always_exceeded() -> None:
    found = run({"a": [Minute(FIRST + i, 0.75, False) for i in range(1_500)], "b": house(330, 2)})
    words = "a: the limit of 0.60 kW is below the lowest window of the last day (0.75 kW): set a limit above 0.75 kW"
    assert [line for line in lines(found) if "warning" in line] == [f"  warning: {words}"]
    houses = document(found)["houses"]
    assert [houses[name]["demand"]["limit_warning"] for name in "ab"] == [words, None]


def test_backtest_without_limit_has_no_demands() -> None:
    plain = run_houses(engine(), {"a": iter(house(60, 1))})
    assert plain.demands is None
    assert "demand" not in document(plain)


def test_house_without_window_has_no_scores() -> None:
    found = run({"a": house(1, 1), "b": house(200, 2), "c": house(200, 3)})
    whole = document(found)
    assert whole["houses"]["a"]["demand"] is None
    assert whole["houses"]["b"]["demand"]["n_windows"] > 0
    assert whole["demand"]["n_windows"] == sum(whole["houses"][name]["demand"]["n_windows"] for name in "bc")


def test_backtest_with_limit_makes_outlooks_by_itself(tmp_path: Path) -> None:
    file, form = csv_file(tmp_path / "a.csv", 120, 1), FileFormat(Layout("time", "kw", unit="kW"))
    settings = settings_with(tmp_path / "models", demand=DemandSettings(limit_kw=LIMIT_KW))
    request = BacktestRequest(demand=DemandRequest(LIMITED, tmp_path / "demand.csv"))
    found = run_files(settings, [file], form, FilePart(), request)
    assert found.outlooks is None
    assert len(read(tmp_path / "demand.csv")) > 90


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--demand-out", "out.csv"], "--demand-out: there is no limit to compare with: set demand.limit_kw"),
        (["--set", "demand.limit_kw=none", "--demand-out", "out.csv"], "--demand-out: there is no limit to compare"),
        (["--control"], "--control: there is no limit to compare with: set demand.limit_kw"),
        (["--control", "--out", "o.csv"], "--control drives loads and scores no forecasts: remove --out"),
        (
            ["--all-models", "--demand-out", "o.csv"],
            "--demand-out writes the demands of one run: remove --all-models",
        ),
        (["--control", "--submeters"], "--submeters and --submeter-column are for the forecasts of one run"),
        (
            ["--all-models", "--submeter-column", "kw"],
            "--submeters and --submeter-column are for the forecasts of one run: remove --all-models and --control",
        ),
        (["--tariff", "t.toml"], "--tariff prices controlled loads: add --control"),
        (["--control", "--tariff", "t.toml"], "--tariff t.toml: cannot be read"),
    ],
)
def test_options_that_cannot_be_met_are_named(tmp_path: Path, arguments: list[str], problem: str) -> None:
    file = csv_file(tmp_path / "a.csv", 60, 1)
    names = ["--time-column", "time", "--value-column", "kw", "--unit", "kW"]
    result = CliRunner().invoke(main, ["backtest", str(file), *names, *arguments])
    assert result.exit_code != 0
    assert problem in f"{result.output}{result.exception}"


def test_models_alone_make_no_demands(tmp_path: Path) -> None:
    settings = settings_with(tmp_path / "models", demand=DemandSettings(limit_kw=LIMIT_KW))
    assert not with_outlooks(settings, 0).demand.is_limited
    assert with_outlooks(settings, 1).demand.is_limited
