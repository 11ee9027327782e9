"""The command `gapcast-trainer evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gapcast.predictors.models_folder.store import load_model
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.cli import main


@pytest.fixture(scope="module")
def models(linear_run: Path, small: CleanFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the linear model."""
    from gapcast_trainer.export.export import choose_default, export

    folder = tmp_path_factory.mktemp("models")
    export(linear_run, small, folder)
    choose_default(folder, None)
    return folder


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(clean: Path, models: Path, *words: str) -> Result:
    given = ("evaluate", "--clean", str(clean), "--models", str(models), *words)
    return CliRunner().invoke(main, given, prog_name="gapcast-trainer", catch_exceptions=False)


@pytest.mark.long
def test_evaluate_command_reproduces_the_cards_scores(at_home: Path, clean_path: Path, models: Path) -> None:
    found = run(clean_path, models, "--json", "scores.json", "--report", "report.html")
    assert found.exit_code == 0
    rows = found.stdout.splitlines()[2:5]
    assert [line.split()[0] for line in rows] == ["persistence", "trend", "linear"]
    stated = load_model(models / "linear").card.scores
    linear = json.loads(Path("scores.json").read_text())["models"][2]
    assert linear["headline"]["n"] == stated.model.n
    assert linear["headline"]["mse_kw2"] == pytest.approx(stated.model.mse_kw2, abs=2e-6)
    assert linear["headline"]["mae_kw"] == pytest.approx(stated.model.mae_kw, abs=2e-6)
    assert linear["headline"]["persistence_mse_kw2"] == pytest.approx(stated.persistence.mse_kw2, abs=2e-6)
    assert (linear["cost"]["parameters"], linear["cost"]["bytes"]) == (31, load_model(models / "linear").card.bytes)
    assert Path("report.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in at_home.iterdir()) == ["report.html", "scores.json"]


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (("--fit-days", "3"), "--houses"),
        (("--scored-rows", "300"), "--houses"),
        (("--peers-rows", "300"), "--peers"),
        (("--peers-sample", "300"), "--peers"),
    ],
)
def test_evaluate_command_option_without_effect_is_an_error(words: tuple[str, ...], needed: str, at_home: Path) -> None:
    found = run(at_home / "none.parquet", at_home, *words)
    said = f"{words[0]} has no effect without {needed}: add {needed}, or leave it out"
    assert (found.exit_code, said in found.output) == (2, True), found.output


@pytest.mark.parametrize(("name", "problem"), [("nowhere", "there is no such folder"), ("empty", "no folder with a")])
@pytest.mark.parametrize("house", [(), ("--houses", "house.csv")])
def test_evaluate_command_folder_without_models_is_an_error(
    at_home: Path, name: str, problem: str, house: tuple[str, ...]
) -> None:
    (at_home / "empty").mkdir()
    (at_home / "house.csv").touch()
    found = CliRunner().invoke(main, ["evaluate", "--models", name, *house], prog_name="gapcast-trainer")
    assert (found.exit_code, f"no models to score in {name}: " in found.output) == (2, True), found.output
    assert problem in found.output


def test_evaluate_command_other_minutes(at_home: Path, clean_path: Path, models: Path) -> None:
    found = run(clean_path, models, "linear", "--from", "2020-01-06", "--until", "2020-01-06T03:00:00Z", "--brief")
    assert found.exit_code == 0
    assert "from 2020-01-06 00:00 until 2020-01-06 03:00 UTC (selected by --from or --until)" in found.output
    assert "Not out of sample" not in found.output
    assert (
        run(
            clean_path, models, "linear", "--from", "2020-01-06T01:00+01:00", "--until", "2020-01-06T03:00", "--brief"
        ).output
        == found.output
    )
    found = run(clean_path, models, "--from", "2020-01-02", "--brief")
    assert "Not out of sample for linear: fitted to, or chosen on, some of these minutes" in found.output


def test_evaluate_command_minutes_beyond_the_file_are_not_stated(at_home: Path, clean_path: Path, models: Path) -> None:
    found = run(clean_path, models, "linear", "--from", "2019-12-01", "--until", "2030-01-01", "--brief")
    assert "from 2020-01-01 00:00 until 2020-01-07 06:00 UTC (selected by --from or --until)" in found.output


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--from", "2020-01-07T05:58"), "there are no 30 readings in a row with an outcome"),
        (("--from", "2020-01-08"), "no minutes to score: they would begin at 2020-01-08T00:00Z and end before 2020-01"),
        (
            ("--from", "2020-01-07", "--until", "2020-01-06"),
            "no minutes to score: they would begin at 2020-01-07T00:00Z and end before 2020-01-06T00:00Z; the file",
        ),
        (("--from", "soon"), "'soon' is not a time like 2010-11-01 or 2010-11-01T12:00Z"),
        (("--from", "2020-01-01", "--peers"), "too few windows (0 to fit to"),
        (("--peers-rows", "3"), "3 is not in the range x>=100"),
        (("gone",), "no model is called gone, in "),
    ],
)
def test_evaluate_command_errors_are_one_sentence(
    at_home: Path, clean_path: Path, models: Path, words: tuple[str, ...], error: str
) -> None:
    found = run(clean_path, models, *words, "--json", "scores.json")
    assert found.exit_code in {2, 3}
    assert error in found.output
    assert not list(at_home.iterdir())
