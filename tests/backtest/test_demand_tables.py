"""The tables of docs/demand-accuracy.md are made from files of back-tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import demand_numbers, demand_scores
from gapcast.backtest.demands.house_demands import DemandFile
from gapcast.core.demand.documents.scores_document import demand_scores_document
from gapcast.core.demand.scores.scores import initial_sums, scores_of


def bin_of(n: int, mean_p: float, share: float) -> dict[str, float]:
    return {"n": n, "mean_p": mean_p, "share": share}


def document() -> dict[str, Any]:
    """The scores of windows of 15 minutes, with two bins, one of them outside its band."""
    found = demand_scores_document(scores_of(initial_sums(), 15))
    found["elapsed"][0] |= {"brier": 0.02, "reliability": [bin_of(400, 0.05, 0.06), bin_of(100, 0.5, 0.7)]}
    found["alarms"]["gapcast"] |= {"n": 4, "n_false": 1, "per_month": 2.0, "announced_3_min": 0.75}
    return found


def demand_file(path: Path) -> Path:
    """Two windows with a limit of 2 kW; one is above it if the headroom is added from the window's start on."""
    with DemandFile(path) as file:
        for start, actual_kw in ((600, 1.0), (615, 1.2)):
            following = [2.0, 1.0, 0.5, 1.5, 0.1, 0.9]
            file.add("a", start, [(start - 1, 0, [2.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.9, *following])], actual_kw)
        unlimited = [float("nan"), 1.0, 1.0, 1.0, 1.0, 0.0, 9.0, float("nan"), 1.0, 1.0, 1.0, 0.0, 9.0]
        file.add("a", 630, [(629, 0, unlimited)], 1.0)
    return path


def test_next_windows_are_scored_with_the_window_after(tmp_path: Path) -> None:
    found = demand_scores.next_windows(demand_file(tmp_path / "a.csv"))
    assert list(found) == [0]
    assert [(*case[:2], *case[3:]) for case in found[0]] == [(False, 0.1, True, True), (False, 0.1, False, True)]
    assert [case[2] for case in found[0]] == pytest.approx([0.01, 0.01])


def test_bin_is_compared_with_its_binomial_band() -> None:
    assert demand_scores.is_within(bin_of(400, 0.05, 0.06))
    assert not demand_scores.is_within(bin_of(100, 0.5, 0.7))
    assert demand_scores.is_within(bin_of(1_000, 0.0, 0.0))
    assert demand_scores.is_within(bin_of(50, 1.0, 1.0))


@pytest.mark.parametrize(("n_above", "is_within"), [(4, False), (5, True), (16, True), (17, False)])
def test_band_of_100_cases_at_a_tenth_is_exact(n_above: int, is_within: bool) -> None:
    """The 2.5 and 97.5 % quantiles of the binomial are 5 and 16; 4 or fewer have a probability of 2.4 %."""
    assert demand_scores.is_within(bin_of(100, 0.1, n_above / 100)) is is_within


def test_bin_with_exact_probabilities_is_rarely_outside() -> None:
    """For 100 cases at 0.1, 4 or fewer have a probability of 2.37 %, and 17 or more of 2.06 %."""
    assert demand_scores.chance_outside(bin_of(100, 0.1, 0.0)) == pytest.approx(0.0443, abs=5e-5)


def test_pooled_bins_hold_the_cases_of_every_time() -> None:
    empty = {"n": 0, "mean_p": None, "share": None}
    found = demand_scores.pooled([[bin_of(100, 0.04, 0.0), empty], [bin_of(300, 0.08, 0.1), empty]])
    (only,) = found
    assert only == {"n": 400, "mean_p": pytest.approx(0.07), "share": pytest.approx(0.075)}


def test_headroom_is_added_for_the_rest_of_the_window(tmp_path: Path) -> None:
    assert demand_scores.headroom_shares(demand_file(tmp_path / "a.csv")) == {0: (2, 1)}


def test_command_prints_every_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, control = tmp_path / "house.json", tmp_path / "control.json"
    scores.write_text(json.dumps({"demand": document()}))
    strategies = {
        "house alone": {"peak_kw": 2.0, "year_prices": {"t": None}, "loads": None},
        "gapcast": {"peak_kw": 3.0, "year_prices": {"t": 150.0}, "loads": {
            "n_evenings": 2, "missing_kwh": 1.0, "n_short": 1, "delay_min": 30}},
    }  # fmt: skip
    tariffs = [{"name": "t", "currency": "EUR"}]
    control.write_text(json.dumps({"tariffs": tariffs, "houses": {"a": {"strategies": strategies}}}))
    demands = demand_file(tmp_path / "a.csv")
    arguments = ["--scores", str(scores), "--demands", str(demands), "--control", str(control)]
    monkeypatch.setattr(sys, "argv", ["demand_scores", *arguments])
    demand_scores.main()
    lines = capsys.readouterr().out.splitlines()
    assert "| house | 0, 0 | - / - / - | - / - / - | 0.0200 / - / - | - / - / - |" in lines
    assert "| house | 0 | 1 of 2 | 0.1 | 0.500, 0.700, 100 |" in lines
    assert "| house | all | 1 of 2 | 0.1 | 0.500, 0.700, 100 |" in lines
    assert "| house | gapcast | 2.0 | 25% | 75% | - |" in lines
    assert "| a | 0 | 2 | 50.0% |" in lines
    assert lines[-2] == "| a | house alone | 2.00 kW | - | - | - | - |"
    assert lines[-1] == "| a | gapcast | 3.00 kW | 150 | 0.50 | 1 of 2 | 15 min |"


def test_numbers_are_shown_beside_models_that_know_the_house() -> None:
    house = demand_numbers.HOUSES[0]
    scores = document() | {"n_windows": 1_300, "n_events": 40}
    for one in scores["elapsed"]:
        one.update(brier=0.01, persistence_brier=0.04)
    _, _, row = demand_numbers.lines([(house, scores, {0: (200, 10), 5: (100, 4)})])
    assert row == (
        "| REFIT 2, 2.5 kW | 1,300, 40 | 0.0400 / 0.0400 / 0.0400 | 0.0249 / 0.0151 / 0.0053 "
        "| 0.0211 / 0.0150 / 0.0065 | 0.0220 / 0.0150 / 0.0054 | **0.0100 / 0.0100 / 0.0100** | 5.0 / 4.0 % | 1 of 2 |"
    )


def test_numbers_are_of_back_tests_that_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = list[list[str]]()

    def write(command: list[str], *, check: bool, stdout: object) -> None:
        assert (check, stdout) == (True, sys.stderr)
        commands.append(command)
        Path(command[-1]).write_text(json.dumps({"demand": document()}))
        demand_file(Path(command[-3]))

    monkeypatch.setattr("bench.demand_numbers.subprocess.run", write)
    arguments = ["demand_numbers", str(tmp_path), "--work", str(tmp_path / "work"), "--set", "forecast.experts="]
    monkeypatch.setattr(sys, "argv", arguments)
    for _ in range(2):
        demand_numbers.main()
    assert len(commands) == len(demand_numbers.HOUSES)
    assert commands[3][4:6] == [str(tmp_path / "household_power_consumption.zip"), "--start"]
    assert commands[3][-8:-4] == ["--set", "demand.limit_kw=4.0", "--set", "forecast.experts="]
    monkeypatch.setattr(sys, "argv", arguments[:-2])
    demand_numbers.main()
    assert len(commands) == 2 * len(demand_numbers.HOUSES), "other settings have other results"
