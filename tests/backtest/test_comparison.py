"""``gapcast backtest --all-models``: each model alone on the same readings, in one table."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gapcast.backtest.comparison import comparison_document, comparison_lines, run_comparison
from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.processes import run_files
from gapcast.backtest.results.report import lines
from gapcast.config.settings import Settings
from tests.backtest.test_backtest import COLUMNS, FIRST, house
from tests.support.models import every_feature_model, history_model, shipped_models, shipped_names


def settings(models: Path, **forecast: object) -> Settings:
    return Settings.model_validate({"models": {"path": models}, "forecast": forecast})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The shipped models, and one that needs more than power."""
    folder = tmp_path / "models"
    shutil.copytree(shipped_models(), folder)
    shutil.copytree(every_feature_model(), folder / every_feature_model().name)
    return folder


@pytest.mark.long
def test_comparison_scores_equal_separate_backtests(tmp_path: Path, models: Path) -> None:
    files = [house(tmp_path / "a.csv", 300), house(tmp_path / "b.csv", 200, FIRST + 5_000)]
    part = FilePart(score_from="2010-11-01T02:00")
    found = run_comparison(settings(models), files, COLUMNS, part)
    assert [result.name for result in found.results] == shipped_names()
    for result in found.results:
        chosen = {"model": result.name, "blend": False, "horizon_min": result.horizon_min}
        alone = run_files(settings(models, **chosen), files, COLUMNS, part)
        for figure in ("n", "mse_kw2", "mae_kw", "skill", "coverage", "persistence_mse_kw2", "persistence_mae_kw"):
            assert getattr(result.scored, figure) == pytest.approx(getattr(alone.scored, figure)), figure
    assert len({result.scored.n for result in found.results}) == 1
    (skipped,) = found.skipped
    assert skipped.startswith(f"{every_feature_model().name}: not scored, it also needs ")
    assert skipped.endswith("voltage_v, current_a, which a back-test does not read")


def test_comparison_table_is_sorted_with_persistence_last(tmp_path: Path) -> None:
    found = run_comparison(settings(shipped_models()), [house(tmp_path / "a.csv", 200)], COLUMNS, FilePart())
    head, columns, *rows = comparison_lines(found)
    assert head == "a: 194 forecasts scored of each model alone, 5 minutes ahead"
    assert columns.split() == ["MSE", "kW2", "skill", "MAE", "kW", "skill", "coverage"]
    assert rows[-1].split()[0] == "persistence"
    errors = [float(row.split()[1]) for row in rows[:-1]]
    assert errors == sorted(errors)
    assert {row.split()[0] for row in rows[:-1]} == set(shipped_names())
    assert all(re.search(r" \d+\.\d%$", row) for row in rows[:-1])
    document = json.loads(json.dumps(comparison_document(found), allow_nan=False))
    assert document["houses"] == ["a"]
    assert set(document["models"]) == set(shipped_names())
    for result in found.results:
        scored = document["models"][result.name]["scored"]
        assert math.isclose(scored["mse_kw2"], result.scored.mse_kw2 or math.nan, abs_tol=1e-6)


def test_comparison_without_outcomes_states_it(tmp_path: Path) -> None:
    found = run_comparison(settings(shipped_models()), [house(tmp_path / "a.csv", 3)], COLUMNS, FilePart())
    assert list(comparison_lines(found))[1:] == ["  nothing to score: no forecast has an outcome"]


def test_comparison_at_a_horizon_skips_models_without_it(tmp_path: Path, models: Path) -> None:
    shutil.copytree(history_model(), models / "with-history")
    found = run_comparison(settings(models, horizon_min=3), [house(tmp_path / "a.csv", 200)], COLUMNS, FilePart())
    assert {result.horizon_min for result in found.results} == {3}
    assert {"lstm", "linear", "with-history"} <= {result.name for result in found.results}
    assert "lstm-5-3: not scored, it forecasts 5 min ahead, not 3" in found.skipped


def test_comparison_without_a_horizon_scores_at_the_main_one(tmp_path: Path, models: Path) -> None:
    shutil.copytree(history_model(), models / "with-history")
    found = run_comparison(settings(models), [house(tmp_path / "a.csv", 200)], COLUMNS, FilePart())
    assert {result.name: result.horizon_min for result in found.results}["with-history"] == 5


def test_comparison_of_minutes_of_the_training_names_the_model(tmp_path: Path, models: Path) -> None:
    train_on(models / "linear", "2010-11-01T00:00Z", "2010-11-01T02:00Z")
    file = house(tmp_path / "a.csv", 200)
    (note,) = run_comparison(settings(models), [file], COLUMNS, FilePart()).notes
    assert note == (
        "note: linear was trained or selected on data until 2010-11-01T03:00:00Z, possibly of this meter; if so, only "
        "later minutes are new to it (--score-from)"
    )
    later = run_comparison(settings(models), [file], COLUMNS, FilePart(score_from="2010-11-01T03:00"))
    assert not later.notes
    earlier = run_comparison(settings(models), [house(tmp_path / "b.csv", 200, FIRST - 200)], COLUMNS, FilePart())
    assert not earlier.notes


def test_comparison_with_a_further_house_of_the_training_names_the_model(tmp_path: Path, models: Path) -> None:
    further = {"name": "other", "source": "b.csv", "sha256": "0" * 64}
    train_on(models / "linear", "2009-01-01T00:00Z", "2009-01-01T02:00Z")
    change_card(models / "linear", lambda card: card["trained_on"].update(houses=[
        further | {"first": "2010-11-01T01:00Z", "last": "2010-11-01T01:59Z"},
        further | {"first": "2008-01-01T00:00Z", "last": "2008-02-01T00:00Z"},
    ]))  # fmt: skip
    found = run_comparison(settings(models), [house(tmp_path / "a.csv", 200)], COLUMNS, FilePart())
    assert [" until 2010-11-01T02:00:00Z, " in note for note in found.notes] == [True]
    assert list(comparison_lines(found))[-1] == found.notes[0]


def test_backtest_of_minutes_of_the_training_names_the_member(tmp_path: Path, models: Path) -> None:
    train_on(models / "linear", "2010-11-01T00:00Z", "2010-11-01T02:00Z")
    files = [house(tmp_path / "a.csv", 200), house(tmp_path / "b.csv", 200)]
    found = run_files(settings(models, model="linear"), files, COLUMNS, FilePart(), jobs=2)
    assert [note.split()[1] for note in found.notes] == ["linear"]
    assert found.notes[0] in list(lines(found))
    assert not run_files(settings(models), files[:1], COLUMNS, FilePart()).notes  # linear is not a member


def train_on(folder: Path, first: str, last: str) -> None:
    """Change the training data on a model's card; validation ends an hour after ``last``."""
    until = datetime.fromisoformat(last)

    def change(card: dict[str, Any]) -> None:
        card["trained_on"].update(first=first, last=last)
        parts = ("train_until", "validate_until", "test_until")
        card["split"].update({part: (until + timedelta(hours=i)).isoformat() for i, part in enumerate(parts)})

    change_card(folder, change)


def change_card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "card.json"
    card = json.loads(file.read_text(encoding="utf-8"))
    change(card)
    file.write_text(json.dumps(card), encoding="utf-8")
