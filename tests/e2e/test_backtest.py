"""The command ``gapcast backtest``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gapcast.sample import sample_path
from tests.e2e.conftest import Invoke, Start
from tests.support.models import shipped_names

QUICK = ("--set", "forecast.model=lstm-5-3", "--set", "forecast.experts=linear")
LEFT_OUT = ("--set", "forecast.model=lstm-5-3", "--set", "forecast.blend=false")


def test_backtest_scores_a_day_of_the_bundled_week(start: Start, tmp_path: Path) -> None:
    found, out = tmp_path / "found.json", tmp_path / "out.csv"
    command = start(
        "backtest", str(sample_path()), *QUICK, "--limit", "1440", "--json", str(found), "--out", str(out)
    )  # fmt: skip
    assert command.wait() == 0
    shown = command.out
    assert "forecasts scored" in shown
    assert "blend (published)" in shown
    assert "% coverage" in shown
    whole = json.loads(found.read_text(encoding="utf-8"))
    scored = whole["scored"]
    assert scored["n"] >= 1_400
    assert scored["sufficient"]
    assert scored["mse_kw2"] < scored["persistence"]["mse_kw2"]
    assert scored["mae_kw"] < scored["persistence"]["mae_kw"]
    assert scored["coverage"] == pytest.approx(0.9, abs=0.05)
    with out.open(newline="", encoding="utf-8") as file:
        assert sum(row["actual_kw"] != "" for row in csv.DictReader(file)) == scored["n"]


def test_backtest_several_files_scored_from_a_date(invoke: Invoke, tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = [f"2024-01-01T{i // 60:02d}:{i % 60:02d}:00,{200 + i % 7 * 100}" for i in range(180)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["at,watts", *rows]), encoding="utf-8")
    of_file = ("--time-column", "at", "--value-column", "watts", "--unit", "W", "--score-from", "2024-01-01T02:00")
    command = invoke("backtest", "../a.csv", "../b.csv", *of_file, *LEFT_OUT)
    assert command.wait() == 0
    assert "a: 55 forecasts scored" in command.out
    assert "all 2 houses: 110 forecasts scored" in command.out
    assert "lstm-5-3 (published)" in command.out


def test_backtest_all_models_prints_one_table(invoke: Invoke, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = invoke("backtest", "--all-models", str(sample_path()), "--limit", "200", "--json", str(found))
    assert command.wait() == 0, command.err
    head, _, *rows = command.out.splitlines()
    assert head.endswith("194 forecasts scored of each model alone, 5 minutes ahead")
    assert sorted(row.split()[0] for row in rows) == sorted([*shipped_names(), "persistence"])
    assert set(json.loads(found.read_text(encoding="utf-8"))["models"]) == set(shipped_names())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("../good.csv", "--all-models", "--out", "out.csv"), "remove --all-models"),
        (("none.csv",), "none.csv"),
        (("../bad.csv",), "bad.csv, line 1: is not UCI's household set"),
        (("../good.csv", "--start", "soon"), "--start 'soon' is not a time"),
        (("../good.csv", "--score-from", "then"), "--score-from 'then' is not a time"),
        (("../good.csv", "--out", "none/out.csv"), "--out none/out.csv: cannot be written"),
        (("../good.csv", "--json", "none/found.json"), "--json none/found.json: cannot be written"),
        (("../good.csv", "--set", "learning.max_devices=0"), "learning.max_devices"),
    ],
)
def test_backtest_errors_are_one_sentence(
    invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    (tmp_path / "bad.csv").write_text("time,kw\n2024-01-01T00:00:00Z,1.0\n", encoding="utf-8")
    good = "Date;Time;Global_active_power\n1/1/2010;00:00:00;1.0\n1/1/2010;00:01:00;1.1\n"
    (tmp_path / "good.csv").write_text(good, encoding="utf-8")
    command = invoke("backtest", *arguments, *QUICK)
    assert command.wait() == 2
    assert problem in command.err
    assert "Traceback" not in command.err
