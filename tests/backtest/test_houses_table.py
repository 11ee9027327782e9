"""The table of skill over many houses: ``python -m bench.houses``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.houses import PERIODS, backtest, house_skill, quartiles, table


def document(skill: float, n_weeks: int = 6) -> dict[str, Any]:
    """Return scores of one house with this skill, by MSE and MAE, except in its first week."""
    week = {"n": 10_000, "persistence_mse_kw2": 2.0, "persistence_mae_kw": 1.0, "coverage": 0.9}
    weeks = [week | {"mse_kw2": 2.0 * (1 - skill), "mae_kw": 1.0 - skill} for _ in range(n_weeks)]
    weeks[0] |= {"mse_kw2": 2.2, "mae_kw": 1.1, "n": 5_000}
    scored = {"mse_kw2": 1.01, "mae_kw": 0.5, "skill": skill, "mae_skill": skill, "coverage": 0.9}
    return {"scored": scored | {"experts": {"lstm": {"mse_kw2": 1.0, "mae_kw": 0.6}}}, "weeks": weeks}


def test_house_skill_first_and_last_weeks_are_apart() -> None:
    found = house_skill(document(0.3))
    whole, first, last = (found.periods[period] for period in PERIODS)
    assert (whole.mse, last.mse, last.mae) == pytest.approx((0.3, 0.3, 0.3))
    assert (first.mse, first.mae) == pytest.approx((-0.1, -0.1))
    assert (found.mse_loss, found.mae_loss) == pytest.approx((0.01, 0.5 / 0.6 - 1))


def test_house_backtests_with_another_limit_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = list[list[str]]()

    def write(command: list[str], **_: object) -> None:
        commands.append(command)
        out = Path(command[command.index("--json") + 1])
        out.write_text(json.dumps({"houses": {"a": document(0.1 * len(commands))}}))

    monkeypatch.setattr("bench.houses.subprocess.run", write)
    file = tmp_path / "a.csv"
    file.write_text("time,power_w\n")
    found = [backtest(file, "", tmp_path, limit).periods[PERIODS[0]].mse for limit in (100, None, 100)]
    assert found == pytest.approx([0.1, 0.2, 0.1])


def test_house_skill_weeks_count_by_their_forecasts() -> None:
    last = house_skill(document(0.3, n_weeks=2)).periods[PERIODS[2]]
    assert last.mse == pytest.approx(1 - (5_000 * 2.2 + 10_000 * 1.4) / (15_000 * 2.0))


def test_house_skill_weeks_with_few_forecasts_are_left_out() -> None:
    few = document(0.3)
    few["weeks"] = [few["weeks"][1] | {"n": 999}]
    assert list(house_skill(few).periods) == [PERIODS[0]]


def test_table_has_quartiles_and_houses_below_persistence() -> None:
    rows = table({f"house{k}": house_skill(document(skill)) for k, skill in enumerate((-0.1, 0.1, 0.2, 0.3, 0.4))})
    assert rows[2] == "| from the first reading, MSE | -10.0 | +10.0 | +20.0 | +30.0 | +40.0 | 1 of 5 |"
    assert "| first calendar week, MAE | -10.0 | -10.0 | -10.0 | -10.0 | -10.0 | 5 of 5 |" in rows
    assert rows[-2].startswith("| MSE above the best single member | +1.0 |")
    assert {row.count("|") for row in rows} == {8}


def test_quartiles_of_one_house_are_its_value() -> None:
    assert quartiles([0.5]) == (0.5,) * 5
