"""``gapcast backtest``: files as houses, scores, weeks, and each forecast with its outcome."""

from __future__ import annotations

import csv
import gzip
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapcast.backtest.forecasts.outcomes_file import HEADER, OutcomesFile
from gapcast.backtest.forecasts.weeks import Week, Weeks
from gapcast.backtest.inputs.houses import FilePart, minutes_of, name_houses, side_by_side
from gapcast.backtest.processes import run_files
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.results import report
from gapcast.backtest.results.report import document, lines
from gapcast.backtest.results.results import Backtest
from gapcast.config.settings import Settings
from gapcast.core.arrays.array_types import F64
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores.summary import ALL_TIME
from gapcast.core.time_grid import minute_label
from gapcast.recordings.recording import Minute, read_recording
from gapcast.recordings.text.layout import FileFormat, Layout, with_submeters
from tests.support.models import ModelCopy, every_feature_model, shipped_models

#: 2010-11-01T00:00Z, a Monday.
FIRST = 21_476_160
COLUMNS = FileFormat(Layout("time", "kw", unit="kW"))


def kw_of(i: int) -> float:
    return round(0.4 + 0.3 * math.sin(i / 9) + (i % 23 < 4) * 1.5, 3)


def house(path: Path, n: int = 60, first: int = FIRST, left_out: frozenset[int] = frozenset()) -> Path:
    """A file of ``n`` minutes, without the minutes ``left_out``."""
    rows = [f"{minute_label(first + i)},{kw_of(i)}" for i in range(n) if i not in left_out]
    path.write_text("\n".join(["time,kw", *rows]) + "\n", encoding="utf-8")
    return path


def settings(**sections: Any) -> Settings:
    forecast = {"model": "lstm-5-3", "experts": ["linear"]} | sections.pop("forecast", {})
    return Settings.model_validate({"models": {"path": shipped_models()}, "forecast": forecast, **sections})


def run(files: list[Path], part: FilePart | None = None, out: Path | None = None, **sections: Any) -> Backtest:
    return run_files(settings(**sections), files, COLUMNS, part or FilePart(), BacktestRequest(out=out))


def test_house_with_its_own_horizon_is_scored_as_at_this_one(tmp_path: Path) -> None:
    near, far = house(tmp_path / "near.csv", 90), house(tmp_path / "far.csv", 120)
    everyone = {"experts": None}
    own = run([near, far], forecast=everyone | {"model": "lstm", "devices": {"far": {"horizon_min": 15}}})
    alone = run([far], forecast=everyone | {"model": None, "horizon_min": 15})
    by_name = {one.name: one.scored for one in own.houses}
    assert by_name["far"].document() == alone.scored.document()
    assert [*by_name["far"].members] == ["outlook", "learned", "persistence"]
    assert "outlook" not in by_name["near"].members
    assert own.scored.members["outlook"] == by_name["far"].members["outlook"]
    assert own.scored.members["lstm"] == by_name["near"].members["lstm"]
    table = [line for line in lines(own) if line.split()[0] in {"lstm", "outlook"}]
    assert len(table) == 4, "each in its house, and over all"
    assert table[0] == table[2]
    assert table[1] == table[3]


def test_backtest_with_submeters_scores_their_member(tmp_path: Path) -> None:
    path = tmp_path / "home.csv"
    rows = [f"{minute_label(FIRST + i)},{kw_of(i)},{(i % 23 < 4) * 1.5}" for i in range(90)]
    path.write_text("\n".join(["time,kw,oven", *rows]) + "\n", encoding="utf-8")
    form = with_submeters(COLUMNS, ["oven"], of_uci=False)
    with_oven = run_files(settings(), [path], form, FilePart())
    assert [*with_oven.scored.members][-3:] == ["learned", "submetered", "persistence"]
    assert "submetered" not in run([path]).scored.members


def test_backtest_reading_has_the_newest_power_of_a_submeter(tmp_path: Path) -> None:
    """As in the service, which attaches a submeter's newest minute to a reading, for at most three minutes."""
    form = with_submeters(COLUMNS, ["oven"], of_uci=False)

    def scores(*known: bool, is_held: bool = False) -> str:
        """Return the scores if the oven's minutes are ``known``, cyclically; unknown ones hold the last known one."""
        rows, oven_kw = [], ""
        for i in range(180):
            is_known = known[i % len(known)]
            oven_kw = f"{(i % 23 < 4) * 1.5}" if is_known else oven_kw
            rows.append(f"{minute_label(FIRST + i)},{kw_of(i)},{oven_kw if is_known or is_held else ''}")
        path = tmp_path / "home.csv"
        path.write_text("\n".join(["time,kw,oven", *rows]) + "\n", encoding="utf-8")
        found = run_files(settings(), [path], form, FilePart()).scored.members["submetered"]
        return repr(found)

    assert scores(True, False, False, False) == scores(True, False, False, False, is_held=True)
    assert scores(True, False, False, False, False) != scores(True, False, False, False, False, is_held=True)


def test_backtest_of_a_model_that_needs_voltage_is_refused(tmp_path: Path) -> None:
    models = ModelCopy(tmp_path, source=every_feature_model()).models
    every = Settings.model_validate({"models": {"path": models}})
    fix = "choose another model, or score every-feature by gapcast-trainer evaluate"
    problem = r"^forecast\.model: model every-feature needs .*voltage_v.*, and a back-test reads the power alone"
    with pytest.raises(SettingsError, match=f"{problem}: {fix}$"):
        run_files(every, [house(tmp_path / "a.csv")], COLUMNS, FilePart())


# --- houses -----------------------------------------------------------------------------------------


def test_backtest_interleaves_houses_in_order() -> None:
    houses = {name: iter([Minute(FIRST + i, float(i)) for i in range(n)]) for name, n in (("a", 5), ("b", 2), ("c", 0))}
    batches = list(side_by_side(houses, 4))
    assert max(map(len, batches)) <= 4
    readings = [reading for batch in batches for reading in batch]
    assert [r.minute - FIRST for r in readings if r.device == "a"] == [0, 1, 2, 3, 4]
    assert [r.minute - FIRST for r in readings if r.device == "b"] == [0, 1]


def test_backtest_house_names_are_unique() -> None:
    assert name_houses([Path("x/a b.csv.gz"), Path("é.csv")]) == ["a_b", "_"]
    assert len(name_houses([Path("n" * 90 + ".csv")])[0]) == 64
    with pytest.raises(SettingsError, match="another file is also named a: rename one of them"):
        name_houses([Path("x/a.csv"), Path("y/a.csv.gz")])


def test_backtest_reads_the_requested_part(tmp_path: Path) -> None:
    file = house(tmp_path / "a.csv")
    part = FilePart(start="2010-11-01T00:10", limit=5)
    minutes = list(minutes_of(read_recording(file, COLUMNS), part))
    assert [minute.minute - FIRST for minute in minutes] == [10, 11, 12, 13, 14]
    with pytest.raises(SourceError, match="has no reading from 2011-01-01 on"):
        minutes_of(read_recording(file, COLUMNS), FilePart(start="2011-01-01"))
    with pytest.raises(SettingsError, match="--start 'soon' is not a time"):
        minutes_of(read_recording(file, COLUMNS), FilePart(start="soon"))


# --- scores -----------------------------------------------------------------------------------------


def test_backtest_scores_equal_the_written_outcomes(tmp_path: Path) -> None:
    files = [house(tmp_path / "a.csv", 400), house(tmp_path / "b.csv", 300, FIRST + 5_000)]
    out = tmp_path / "out.csv"
    found = run(files, out=out)
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADER
    assert len(rows) == 399 + 299
    actual = [row for row in rows if row["actual_kw"]]
    assert found.scored.n == len(actual) == 394 + 294
    error = np.array([float(row["gap_kw"]) - float(row["actual_kw"]) for row in actual])
    base = np.array([float(row["last_kw"]) - float(row["actual_kw"]) for row in actual])
    median = np.array([float(row["median_kw"]) - float(row["actual_kw"]) for row in actual])
    assert found.scored.mse_kw2 == pytest.approx((error**2).mean(), abs=1e-6)
    assert found.scored.mae_kw == pytest.approx(np.abs(median).mean(), abs=1e-6)
    assert found.scored.persistence_mse_kw2 == pytest.approx((base**2).mean(), abs=1e-6)
    inside = [float(row["lower_kw"]) <= float(row["actual_kw"]) <= float(row["upper_kw"]) for row in actual]
    assert found.scored.coverage == pytest.approx(np.mean(inside), abs=0.005)
    assert [one.name for one in found.houses] == ["a", "b"]
    assert found.n_readings == 700


def test_backtest_scores_from_a_date_and_learns_from_the_start(tmp_path: Path) -> None:
    file = house(tmp_path / "a.csv", 400)
    all_of_it, later = run([file]), run([file], FilePart(score_from="2010-11-01T05:00"))
    assert later.scored.n == 95  # made from there on: the first five outcomes are of earlier forecasts
    assert later.houses[0].live[ALL_TIME] == all_of_it.houses[0].live[ALL_TIME]
    assert later.houses[0].weeks[0].n == 95


def test_backtest_missing_minute_has_no_outcome(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    found = run([house(tmp_path / "a.csv", 40, left_out=frozenset({20, 21}))], out=out)
    with out.open(newline="", encoding="utf-8") as file:
        rows = {row["target_at"]: row["actual_kw"] for row in csv.DictReader(file)}
    assert rows[minute_label(FIRST + 20)] == ""
    assert rows[minute_label(FIRST + 19)] == str(kw_of(19))
    assert found.scored.n == sum(actual != "" for actual in rows.values())


def test_backtest_filled_minute_has_no_outcome(tmp_path: Path) -> None:
    """The file has samples every 10 s with a silence of 50 s."""
    path, out = tmp_path / "plug.csv", tmp_path / "out.csv"
    seconds = [second for second in range(0, 1_800, 10) if not 900 < second < 950]
    rows = (f"{FIRST * 60 + second},{1 + second % 7 / 10}" for second in seconds)
    path.write_text("\n".join(["time,kw", *rows]) + "\n", encoding="utf-8")
    assert [one.minute - FIRST for one in read_recording(path, COLUMNS).minutes() if one.is_filled] == [15]
    known_for_a_minute = replace(COLUMNS, hold_min=1.0)
    assert not any(one.is_filled for one in read_recording(path, known_for_a_minute).minutes())
    found = run([path], out=out)
    with out.open(newline="", encoding="utf-8") as file:
        outcomes = {row["target_at"]: row["actual_kw"] for row in csv.DictReader(file)}
    assert outcomes[minute_label(FIRST + 15)] == ""
    assert found.scored.n == sum(actual != "" for actual in outcomes.values()) == 30 - 6 - 1


@pytest.mark.parametrize(
    ("forecast", "published_model", "members"),
    [
        ({}, "blend", ["lstm-5-3", "linear", "learned", "persistence"]),
        ({"learn": False}, "blend", ["lstm-5-3", "linear", "persistence"]),
        ({"blend": False}, "lstm-5-3", ["lstm-5-3", "linear", "persistence"]),
        ({"blend": False, "calibrate": False}, "lstm-5-3", ["lstm-5-3", "linear", "persistence"]),
    ],
)
def test_backtest_options_switch_parts_off(
    tmp_path: Path, forecast: dict[str, bool], published_model: str, members: list[str]
) -> None:
    found = run([house(tmp_path / "a.csv", 200)], forecast=forecast)
    assert found.published_model == published_model
    assert list(found.scored.members) == members
    alone = found.scored.members["lstm-5-3"]
    if published_model != "blend":
        assert found.scored.mse_kw2 == pytest.approx(alone.mse_kw2)
    assert (found.scored.coverage is None) == ("calibrate" in forecast)


def test_backtest_houses_over_the_limit_are_rejected(tmp_path: Path) -> None:
    files = [house(tmp_path / f"{name}.csv") for name in "ab"]
    with pytest.raises(SettingsError, match=r"learning\.max_devices: 1 is too few.* set it to at least 2"):
        run(files, learning={"max_devices": 1})


def test_backtest_weeks_match_the_slow_reference() -> None:
    draw = np.random.default_rng(3)
    weeks, kept = Weeks(), []
    for at in range(0, 40_000, 1_000):
        minutes = FIRST + at + np.arange(50, dtype=np.int64)
        rows = draw.integers(0, 2, 50)
        actual, published = draw.gamma(1, 1, 50), np.sort(draw.gamma(1, 1, (50, 4)), axis=1)[:, [1, 2, 0, 3]]
        weeks.add(outcomes(rows, minutes, actual, published))
        kept += list(zip(rows.tolist(), minutes.tolist(), actual.tolist(), published.tolist(), strict=True))
    for row in (0, 1):
        found = weeks.for_row(row)
        assert [week.begins_at for week in found] == sorted(week.begins_at for week in found)
        for week in found:
            its = [(c, t) for r, m, c, t in kept if r == row and minute_label(m // 10_080 * 10_080) == week.begins_at]
            assert week.n == len(its)
            assert week.mse_kw2 == pytest.approx(np.mean([(t[0] - c) ** 2 for c, t in its]))
            assert week.mae_kw == pytest.approx(np.mean([abs(t[1] - c) for c, t in its]))
            assert week.coverage == pytest.approx(np.mean([t[2] <= c <= t[3] for c, t in its]))
            assert week.width_kw == pytest.approx(np.mean([t[3] - t[2] for c, t in its]))
            assert week.persistence_mae_kw == pytest.approx(np.mean([abs(1.0 - c) for c, _ in its]))


def test_backtest_weeks_are_rounded_as_other_figures() -> None:
    """Sums in another order, as those of the fleet, differ in the last digits."""
    week = Week("2010-11-01T00:00Z", 2, 0.1 + 0.2, 1 / 3, 2 / 3, 1.0, None, None)
    assert [*week.document().values()] == ["2010-11-01T00:00Z", 2, 0.3, 0.333333, 0.666667, 1.0, None, None]
    assert [*week.document()] == [*Week._fields]


def outcomes(rows: Any, minutes: Any, actual: F64, published: F64) -> Outcomes:
    n = len(actual)
    return Outcomes(rows, minutes, actual, np.ones(n), np.zeros((n, 2, 1)), published)


# --- what is shown ----------------------------------------------------------------------------------


def test_backtest_report_names_every_member(tmp_path: Path) -> None:
    found = run([house(tmp_path / "a.csv", 200), house(tmp_path / "b.csv", 200)])
    text = "\n".join(lines(found))
    for word in (
        "lstm-5-3",
        "linear",
        "learned",
        "persistence",
        "blend (published)",
        "coverage",
        "all 2 houses",
        "per second",
    ):
        assert word in text
    whole = json.loads(json.dumps(document(found), allow_nan=False))
    assert whole["published_model"] == whole["speaker"] == found.published_model
    assert whole["houses"]["a"]["scored"]["n"] == 194
    assert whole["houses"]["a"]["live"]["all_time"]["n"] == 194
    assert whole["n_readings"] == 400


def test_backtest_without_outcomes_reports_it(tmp_path: Path) -> None:
    found = run([house(tmp_path / "a.csv", 3)])
    assert "nothing to score" in "\n".join(lines(found))
    assert document(found)["scored"]["mse_kw2"] is None


def test_backtest_constant_house_has_no_skill(tmp_path: Path) -> None:
    path = tmp_path / "still.csv"
    rows = [f"{minute_label(FIRST + i)},0.2" for i in range(60)]
    path.write_text("\n".join(["time,kw", *rows]), encoding="utf-8")
    found = run([path])
    assert found.scored.skill is None
    (published,) = (line for line in lines(found) if "(published)" in line)
    assert [part for part in published.split() if part == "-" or part.endswith("%")] == ["-", "-"]
    rounding_errors = report.row("lstm", 0.01, 0.1, 1e-17, 3e-10)
    assert rounding_errors.split() == ["lstm", "0.0100", "-", "0.1000", "-"]


def test_backtest_unwritable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--out .*out\.csv: cannot be written \(No such file or directory\)"):
        OutcomesFile(tmp_path / "none" / "out.csv")


def test_backtest_reads_packed_files(tmp_path: Path) -> None:
    plain = house(tmp_path / "a.csv", 50)
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    one, other = run([plain]), run([packed])
    assert one.scored == other.scored
