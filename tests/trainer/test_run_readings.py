"""A run remembers its readings, and models are exported to a folder of the user's."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gapcast.bundled import models_path
from gapcast.predictors.models_folder.store import load_model
from gapcast_trainer.cli import main
from gapcast_trainer.training.run import RUN_FILE, Epoch, read_run, save_run


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="gapcast-trainer", catch_exceptions=False)


@pytest.fixture(scope="module")
def made(clean_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clean file, and a run and a model of it, made without naming it again."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copy(clean_path, folder / "house.parquet")
    changes = [word for key in ("name=mine", "data.test_until=null") for word in ("--set", key)]
    with chdir(folder):
        assert run("train", "trend.toml", "--clean", "house.parquet", *changes).exit_code == 2  # there is no such file
        (folder / "trend.toml").write_text('family = "trend"\n[data]\n')
        assert run("train", "trend.toml", "--clean", "house.parquet", *changes).exit_code == 0
        assert run("export", "runs/mine").exit_code == 0
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this folder, as if all had been made there."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    stated = read_run(made / "runs/mine")
    assert stated.readings == str(made / "house.parquet")
    save_run(tmp_path / "runs/mine", replace(stated, readings=str(tmp_path / "house.parquet")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_remembers_its_clean_file_for_export_and_evaluate(home: Path) -> None:
    scored = run("evaluate", "--brief", "--json", "scores.json")
    assert scored.exit_code == 0, scored.output
    assert scored.stdout.splitlines()[-3:] == ["scored on house.parquet", "", "wrote scores.json"]
    rows = {row["name"]: row for row in json.loads((home / "scores.json").read_text())["models"]}
    assert list(rows) == ["persistence", "trend", "mine", "linear", "lstm", "lstm-16-8", "lstm-5-3"]
    stated = load_model(home / "models/mine").card.scores.model
    assert rows["mine"]["headline"]["mse_kw2"] == pytest.approx(stated.mse_kw2, abs=1e-6)
    assert {row["headline"]["n"] for row in rows.values()} == {stated.n}


def test_train_names_the_run_that_it_replaces(home: Path) -> None:
    started_at = (earlier := read_run(home / "runs/mine")).started_at
    save_run(home / "runs/other", replace(earlier, best_epoch=1, history=(Epoch(0.4, 0.5124, 0.3, 1e-3),)))
    for name, remark in (
        ("other", f" of {started_at}, validation loss 0.51240 (keep it by"),
        ("mine", f" of {started_at} (keep it by"),  # its family has no loss
        ("new", None),
    ):
        found = run("train", "trend.toml", "--clean", "house.parquet", "--set", f"name={name}")
        assert found.exit_code == 0, found.output
        assert ("replaces the run in" in found.output) == (remark is not None)
        assert remark is None or f"{name}: replaces the run in runs/{name}{remark}" in found.output


def test_evaluate_of_named_models_scores_only_these(home: Path) -> None:
    scored = run("evaluate", "--brief", "--json", "scores.json", "lstm", "mine")
    assert scored.exit_code == 0, scored.output
    rows = [row["name"] for row in json.loads((home / "scores.json").read_text())["models"]]
    assert rows == ["persistence", "trend", "mine", "lstm"]


def test_evaluate_names_a_shipped_model_that_is_hidden(home: Path) -> None:
    shutil.copytree(models_path() / "linear", home / "models/linear")
    scored = run("evaluate", "--brief")
    assert "the shipped linear is not scored: models/linear has its name" in scored.stderr


@pytest.mark.parametrize("command", [("export", "runs/mine"), ("evaluate", "--brief")])
def test_run_whose_clean_file_moved_asks_for_it(home: Path, command: tuple[str, ...]) -> None:
    (home / "house.parquet").rename(home / "moved.parquet")
    found = run(*command)
    assert found.exit_code == 2
    assert f"trained on {home / 'house.parquet'}, which is not there: give it by --clean" in found.output
    assert run(*command, "--clean", "moved.parquet").exit_code == 0


def test_export_of_an_older_run_asks_for_its_file(home: Path) -> None:
    path = home / "runs/mine" / RUN_FILE
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "readings"}))
    found = run("export", "runs/mine")
    assert "runs/mine: the run does not state what it was trained on: give it by --clean" in found.output


def test_evaluate_models_of_different_files_are_named(home: Path) -> None:
    shutil.copy("house.parquet", "copy.parquet")
    assert run("train", "trend.toml", "--clean", "copy.parquet", "--set", "name=other").exit_code == 0
    assert run("export", "runs/other").exit_code == 0
    found = run("evaluate", "--brief")
    assert found.exit_code == 2
    assert "the models are of different files: mine of " in found.output
    assert run("evaluate", "--brief", "other").exit_code == 0


def test_export_in_gapcast_does_not_touch_the_shipped_models(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkout = tmp_path_factory.mktemp("checkout")
    shipped = checkout / "models"
    shutil.copytree(models_path() / "linear", shipped / "linear")
    (shipped / "registry.json").write_text('{"default": "linear"}\n')
    before = {path: path.read_bytes() for path in shipped.rglob("*") if path.is_file()}
    for module in ("commands.options", "evaluation.scored_models"):
        monkeypatch.setattr(f"gapcast_trainer.{module}.models_path", lambda: shipped)
    shutil.copytree(home / "runs", checkout / "runs")
    monkeypatch.chdir(checkout)
    exported = run("export", "runs/mine")
    assert "wrote runs/models/mine" in exported.output
    assert {path: path.read_bytes() for path in shipped.rglob("*") if path.is_file()} == before
    scored = run("evaluate", "--brief", "--json", "scores.json")
    assert scored.exit_code == 0, scored.output
    rows = [row["name"] for row in json.loads(Path("scores.json").read_text())["models"]]
    assert rows == ["persistence", "trend", "mine", "linear"]
