"""``gapcast backtest``, as a user starts it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from edge.sample import sample_path
from tests.e2e.conftest import Start


def test_the_sample_is_scored_and_written(start: Start, tmp_path: Path) -> None:
    scores, lines = tmp_path / "scores.json", tmp_path / "lines.csv"
    options = ("--limit", 400, "--score-from", "2010-01-01", "--json", scores, "--out", lines)
    command = start("backtest", sample_path(), *options)
    assert command.wait() == 0, command.err
    assert command.out.startswith("uci-household-2010-week: 394 forecasts scored")
    document = json.loads(scores.read_text(encoding="utf-8"))
    its = document["houses"]["uci-household-2010-week"]
    assert (document["speaker"], document["n_readings"]) == ("blend", 400)
    assert its["scored"]["n"] == its["live"]["ever"]["n"] == 394
    with lines.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 399


def test_several_files_are_several_houses(start: Start, tmp_path: Path) -> None:
    other = tmp_path / "cabin.csv"
    other.write_text("when,watts\n" + "".join(f"{1_288_569_600 + 60 * i},{i}\n" for i in range(50)), encoding="utf-8")
    third = tmp_path / "barn.csv"
    third.write_text(other.read_text(encoding="utf-8"), encoding="utf-8")
    columns = ("--time-column", "when", "--value-column", "watts", "--unit", "W")
    command = start("backtest", other, third, *columns)
    assert command.wait() == 0, command.err
    heads = [line for line in command.out.splitlines() if line.endswith("forecasts scored")]
    assert heads == [
        "cabin: 44 forecasts scored", "barn: 44 forecasts scored", "all 2 houses: 88 forecasts scored",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.csv",), "nowhere.csv"),
        ((sample_path(), "--start", "2030-01-01"), "holds no reading from 2030-01-01 on"),
        ((sample_path(), sample_path()), "rename one of them"),
        ((sample_path(), "--score-from", "soon"), "--score-from 'soon'"),
        ((sample_path(), "--limit", "5", "--out", "."), "--out .: cannot be written"),
        ((sample_path(), "--limit", "5", "--json", "no/where.json"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(start: Start, arguments: tuple[object, ...], said: str) -> None:
    command = start("backtest", *arguments)
    assert command.wait() == 2
    assert said in command.err
    assert "Traceback" not in command.err
