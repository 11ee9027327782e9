"""Several houses: one row for each, with peers from its own history and from the other houses."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gapcast.core.models.card_provenance import TrainedOnHouse
from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.cli import main
from gapcast_trainer.errors import RunError
from gapcast_trainer.evaluation_report.houses_page import houses_page
from gapcast_trainer.houses.evaluation import HousesOptions, evaluate_houses
from gapcast_trainer.houses.files import read_houses
from gapcast_trainer.houses.result import HousesEvaluation
from gapcast_trainer.houses.table import lines, skill_rows
from gapcast_trainer.peers.columns import HOUSE_COLUMNS, PeerColumns
from gapcast_trainer.peers.house_trees import HouseTrees, TreeRows, house_columns, house_rows
from gapcast_trainer.scores.span import time_label
from gapcast_trainer.synthetic_houses.csv_file import as_csv
from gapcast_trainer.synthetic_houses.families import simulate
from tests.support.models import shipped_models
from tests.trainer.forecasters import Spread, stand_ins
from tests.trainer.synthetic import SPLIT

N_DAYS = 6
FEW = HousesOptions(peers=True, fit_rows=2_000, n_rounds=30, scored_rows=500)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three synthetic houses as files."""
    folder = tmp_path_factory.mktemp("houses")
    paths = [folder / f"{family}.csv" for family in ("central_air", "window_units", "rural_pumps")]
    for path in paths:
        path.write_text(as_csv(simulate(path.stem, N_DAYS, 1)), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def houses(files: list[Path]) -> dict[str, CleanFile]:
    return read_houses(files)


@pytest.fixture(scope="module")
def scored(houses: dict[str, CleanFile]) -> HousesEvaluation:
    return evaluate_houses(stand_ins(Spread()), houses, FEW)


def test_houses_are_scored_on_the_same_minutes_for_all(scored: HousesEvaluation) -> None:
    assert [house.name for house in scored.houses] == ["central_air", "window_units", "rural_pumps"]
    for house in scored.houses:
        assert list(house.records) == ["persistence", "spread", "lightgbm-own", "lightgbm-others"]
        assert {record.n for record in house.records.values()} == {house.n}
        assert 400 < house.n <= 500
        persistence = house.records["persistence"]
        assert persistence.mse_kw2 == pytest.approx(persistence.persistence_mse_kw2)
        assert house.records["spread"].skill == pytest.approx(0, abs=1e-6)  # its mean is the last reading


def test_houses_with_peers_are_scored_after_the_first_part(scored: HousesEvaluation) -> None:
    for house in scored.houses:
        begin = datetime.fromisoformat("2024-07-01T00:00Z") + timedelta(minutes=0.6 * N_DAYS * DAY_MIN)
        assert (house.span.first, house.span.why) == (begin, "after the first 60% of its minutes")


def test_houses_trees_of_the_own_history_beat_persistence(scored: HousesEvaluation) -> None:
    own = [house.records["lightgbm-own"] for house in scored.houses]
    assert sum(record.skill > 0 for record in own) >= 2
    assert sum(record.best_mae_kw < record.persistence_mae_kw for record in own) >= 2


def test_houses_peers_of_others_ignore_the_house_itself(houses: dict[str, CleanFile]) -> None:
    pair = {name: houses[name] for name in ("central_air", "rural_pumps")}
    options = HousesOptions(peers=True, fit_rows=1_500, n_rounds=10, scored_rows=200)
    before = evaluate_houses(stand_ins(Spread()), pair, options).houses[0].records["lightgbm-others"]
    house = houses["central_air"]
    kw = house.series.gap_kw.copy()
    kw[: kw.size // 2] *= 3  # the part that only trees of the house itself are fitted to
    changed = CleanFile(Series(house.series.first_minute, kw), house.report, house.sha256, house.path)
    found = evaluate_houses(stand_ins(Spread()), pair | {"central_air": changed}, options).houses[0].records
    assert found["lightgbm-others"] == before


def test_houses_without_peers_are_scored_whole_or_after_days(houses: dict[str, CleanFile]) -> None:
    whole = evaluate_houses(stand_ins(Spread()), houses).houses[0]
    later = evaluate_houses(stand_ins(Spread()), houses, HousesOptions(fit_days=4)).houses[0]
    assert (time_label(whole.span.first), whole.n) == ("2024-07-01T00:00Z", N_DAYS * DAY_MIN - 29 - 5)
    assert (time_label(later.span.first), later.n) == ("2024-07-05T00:00Z", 2 * DAY_MIN - 5)
    assert later.span.why == "after the first 4 days"


def test_houses_without_minutes_after_the_fitted_days_are_named(houses: dict[str, CleanFile]) -> None:
    with pytest.raises(RunError, match=r"^central_air: no minutes to score: they would begin .* \(--fit-days\)$"):
        evaluate_houses(stand_ins(Spread()), houses, HousesOptions(fit_days=30))


def test_houses_that_a_model_was_trained_on_keep_its_test_part(small: CleanFile) -> None:
    model = Spread(trained_on=small.report.sha256)
    found = evaluate_houses(stand_ins(model), {"small": small}).houses[0]
    assert (time_label(found.span.first), found.span.fitted_to) == (f"{SPLIT.validate_until:%Y-%m-%dT%H:%MZ}", ())
    early = evaluate_houses(stand_ins(model), {"small": small}, HousesOptions(fit_days=6)).houses[0]
    assert time_label(early.span.first) == "2020-01-07T00:00Z"


def test_houses_further_houses_of_a_model_are_scored_after_its_training(houses: dict[str, CleanFile]) -> None:
    """A further house has no test part: the rest of it chose the model, which the table says."""
    house = houses["central_air"]
    first = datetime.fromisoformat("2024-07-01T00:00Z")
    trained = TrainedOnHouse(
        name="air", source="none", sha256=house.report.sha256, first=first, last=first + timedelta(days=5, minutes=-1)
    )
    models = stand_ins(Spread(), Spread("further", houses=(trained,)))
    found = evaluate_houses(models, {name: houses[name] for name in ("central_air", "rural_pumps")})
    of_further, other = found.houses
    assert (time_label(of_further.span.first), of_further.n) == ("2024-07-06T00:00Z", DAY_MIN - 5)
    assert (of_further.span.why, of_further.span.fitted_to) == (
        "after the minutes that the models were trained on",
        ("further",),
    )
    assert (time_label(other.span.first), other.span.fitted_to) == ("2024-07-01T00:00Z", ())
    later = evaluate_houses(models, {"air": house}, HousesOptions(fit_days=5, scored_rows=500)).houses[0]
    assert later.span.fitted_to == ("further",)


def test_houses_too_short_or_alone_for_peers_are_an_error(houses: dict[str, CleanFile]) -> None:
    with pytest.raises(RunError, match="central_air is the only one: give at least two"):
        evaluate_houses(stand_ins(Spread()), {"central_air": houses["central_air"]}, FEW)
    kw = houses["central_air"].series.gap_kw.copy()
    kw[:DAY_MIN][40:] = np.nan
    poor = CleanFile(
        Series(houses["central_air"].series.first_minute, kw), houses["central_air"].report, "0", Path("poor")
    )
    with pytest.raises(RunError, match=r"poor: only .* windows before .* 1,000 are needed"):
        evaluate_houses(stand_ins(Spread()), {"poor": poor, "rural_pumps": houses["rural_pumps"]},
                        HousesOptions(peers=True, fit_days=1))  # fmt: skip


def test_houses_of_the_same_readings_are_an_error(files: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_bytes(files[0].read_bytes())
    with pytest.raises(RunError, match=r"copy\.csv: has the same readings as house central_air: leave one of them out"):
        read_houses([*files, copy])


def test_houses_of_one_name_are_an_error(files: list[Path]) -> None:
    with pytest.raises(RunError, match="another house is called central_air too"):
        read_houses([files[0], files[0]])


def test_houses_table_and_page_have_every_house_and_model(scored: HousesEvaluation) -> None:
    rows = skill_rows(scored, "mse_skill")
    assert rows[0] == ["house", "forecasts", "persistence kW²", "spread", "lightgbm-own", "lightgbm-others"]
    assert [row[0] for row in rows[1:]] == [
        "central_air", "window_units", "rural_pumps", "worst", "median", "houses below 0",
    ]  # fmt: skip
    text, page = "\n".join(lines(scored)), houses_page(scored)
    for row in rows:
        assert row[0] in text
        assert row[0] in page
    document = json.loads(json.dumps(scored.as_json()))
    shown = [100 * house["models"]["lightgbm-own"]["mse_skill"] for house in document["houses"].values()]
    assert [f"{value:+.1f}" for value in shown] == [row[4] for row in rows[1:4]]
    assert document["over_houses"]["lightgbm-own"]["mse_skill"]["worst"] == pytest.approx(min(shown) / 100)


def test_house_columns_add_the_extremes() -> None:
    kw = np.sin(np.arange(400.0)) + 2
    found = PeerColumns(Series(0, kw), HOUSE_COLUMNS, 5).at(np.array([300]))[0]
    near, whole = kw[241:301], kw[121:301]
    edges = [near.min(), near.max(), whole.min(), whole.max()]
    assert found[60 + 24 : 60 + 24 + 4].tolist() == pytest.approx((np.array(edges) - kw[300]).tolist(), abs=1e-5)
    assert found.size == 60 + 24 + 4 + 2


def test_house_rows_end_before_the_scored_minutes() -> None:
    kw = np.arange(2_000.0)
    kw[1_000] = np.nan
    columns = house_columns(Series(100, kw), 5)
    assert set(house_rows(columns, None, 5_000).change_kw.tolist()) == {5.0}
    rows = house_rows(columns, 600, 5_000)
    assert rows.inputs[:, 0].tolist() == list(range(29, 495))  # minute 599 is the outcome of minute 594
    assert len(house_rows(columns, None, 100).inputs) <= 100


def test_house_trees_are_the_same_in_each_run(houses: dict[str, CleanFile]) -> None:
    columns = house_columns(houses["window_units"].series, 5)
    rows = house_rows(columns, None, 1_500)
    observed = columns.series.first_minute + np.arange(1_000, 1_100)
    first, again = (HouseTrees.fitted([rows], 20).predict(columns, observed).mean for _ in range(2))
    assert np.array_equal(first, again)


def test_house_trees_leave_out_a_house_of_constant_power(houses: dict[str, CleanFile]) -> None:
    columns = house_columns(houses["window_units"].series, 5)
    rows = house_rows(columns, None, 1_500)
    constant = TreeRows(np.full_like(rows.inputs, 0.5), np.zeros_like(rows.change_kw))
    observed = columns.series.first_minute + np.arange(1_000, 1_100)
    alone, both = (HouseTrees.fitted(some, 20) for some in ([rows], [rows, constant]))
    assert np.array_equal(alone.predict(columns, observed).mean, both.predict(columns, observed).mean)
    assert both.n_rows == len(rows.inputs)
    still = HouseTrees.fitted([constant], 5).predict(columns, observed)
    assert still.mean[:, 0].tolist() == columns.at(observed)[:, 0].tolist()


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="gapcast-trainer", catch_exceptions=False)


def test_evaluate_command_scores_houses(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "scores.json", tmp_path / "scores.html"
    found = run("evaluate", "linear", "--models", shipped_models(), "--houses", *files, "--scored-rows", 300,
                "--json", out[0], "--report", out[1])  # fmt: skip
    assert found.exit_code == 0
    assert "MSE skill of the mean" in found.output
    scores = json.loads(out[0].read_text())
    assert list(scores["houses"]) == ["central_air", "window_units", "rural_pumps"]
    assert list(scores["houses"]["central_air"]["models"]) == ["persistence", "linear"]
    assert out[1].read_text().startswith("<!doctype html>")


def test_evaluate_command_reads_houses_of_any_meter(files: list[Path], tmp_path: Path) -> None:
    meter = tmp_path / "meter.csv"
    text = files[0].read_text(encoding="utf-8")
    meter.write_text(text.replace("time,synthetic_power_kw", "When,Power", 1), encoding="utf-8")
    found = run("evaluate", "linear", "--models", shipped_models(), "--houses", meter, files[1],
                "--time-column", "When", "--value-column", "Power", "--unit", "kW", "--scored-rows", 300,
                "--json", tmp_path / "s.json")  # fmt: skip
    assert found.exit_code == 0
    assert list(json.loads((tmp_path / "s.json").read_text())["houses"]) == ["meter", "window_units"]


@pytest.mark.parametrize("missing", ["typo.csv", "folder/typo"])
def test_evaluate_command_missing_house_is_an_error(files: list[Path], missing: str) -> None:
    found = run("evaluate", "--houses", files[0], missing)
    assert (found.exit_code, f"--houses: {missing}: no such file" in found.output) == (2, True), found.output


def test_evaluate_command_columns_without_houses_are_an_error(files: list[Path]) -> None:
    found = run("evaluate", "--clean", files[0], "--time-column", "time", "--value-column", "synthetic_power_kw")
    assert (found.exit_code, "are for --houses" in found.output) == (2, True)


def test_evaluate_command_houses_with_a_part_is_an_error(files: list[Path]) -> None:
    found = run("evaluate", "--houses", files[0], "--from", "2024-07-02")
    assert (found.exit_code, "--houses scores whole files" in found.output) == (2, True)
