"""The command `gapcast-trainer reproduce`: parts, existing results, Ctrl-C, tables and pictures."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gapcast.core.errors import GapcastError, SourceError
from gapcast_trainer.commands.study import reproduce
from gapcast_trainer.errors import RunError
from gapcast_trainer.study import tables
from gapcast_trainer.study.household import load
from gapcast_trainer.study.pictures import draw
from gapcast_trainer.study.run import PARTS, find_parts, load_results, run
from gapcast_trainer.study.settings import StudySettings
from tests.support import uci_files

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A household with some days of each part: before July 2009, December 2009 and January 2010.

    Beside it are two models, one of the mean alone, and one with quantiles and the time of day.
    """
    kw = uci_files.household(12_000).tolist()
    starts = (datetime(2009, 6, 25, tzinfo=UTC), datetime(2009, 12, 20, tzinfo=UTC), datetime(2010, 1, 4, tzinfo=UTC))
    blocks = zip(starts, (kw[:7_000], kw[7_000:9_000], kw[9_000:]), strict=True)
    lines = [line for start, block in blocks for line in uci_files.rows(block, start)]
    folder = tmp_path_factory.mktemp("raw")
    for name in ("linear", "lstm-5-3"):
        shutil.copytree(MODELS / name, folder / "models" / name)
    return uci_files.write_zip(folder / "raw.zip", lines)


@pytest.fixture(scope="session")  # test_reproduce_whole_study_in_short runs after other modules
def quick_run(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The parts that train nothing, done once."""
    out = tmp_path_factory.mktemp("study")
    return out, reproduce_in(out, raw, "--only", "choice,line,streaming")


def reproduce_in(out: Path, raw: Path, *words: str) -> Result:
    models = raw.parent / "models"
    common = ("--raw", str(raw), "--out", str(out), "--models", str(models), "--quick", "--share", "0.05")
    return CliRunner().invoke(reproduce, (*common, *words), catch_exceptions=False)


def test_reproduce_writes_results_tables_and_pictures(quick_run: tuple[Path, Result]) -> None:
    out, said = quick_run
    assert said.exit_code == 0
    assert {path.name for path in out.iterdir()} == {
        "line.json", "streaming.json", "choice.json", "study.md", "pictures",
    }  # fmt: skip
    assert {path.name for path in (out / "pictures").iterdir()} == {"study-line.svg", "study-streaming.svg"}
    page = (out / "study.md").read_text()
    naive = load_results(out)["line"]["persistence"]["mse_kw2"]
    assert f"| persistence | {naive:.4f} |" in page
    assert "`linear`" in page


def test_reproduce_scores_all_on_the_same_minutes(quick_run: tuple[Path, Result]) -> None:
    results = load_results(quick_run[0])
    choice, line = results["choice"], results["line"]
    assert {row["n"] for row in choice["models"]} == {choice["persistence"]["n"]} == {line["persistence"]["n"]}
    assert choice["persistence"]["mse_kw2"] == pytest.approx(line["persistence"]["mse_kw2"])
    counts = [row["stream"]["n"] for row in results["streaming"]["forecasters"] if not row["name"].startswith("line")]
    assert len(set(counts)) == 1


def test_reproduce_stream_forecasts_from_the_second_reading(quick_run: tuple[Path, Result]) -> None:
    results = load_results(quick_run[0])
    for row in results["streaming"]["forecasters"]:
        assert list(row["by_readings"]) == [str(n) for n in range(2, 31)]
    line = next(row for row in results["streaming"]["forecasters"] if row["name"] == "line, 30 min")
    assert line["by_readings"]["2"] > line["by_readings"]["30"]  # two readings make a wild line


def test_reproduce_measures_a_model_in_its_own_process(quick_run: tuple[Path, Result]) -> None:
    for row in load_results(quick_run[0])["choice"]["models"]:
        assert 0 < row["row_at_256_us"] < row["batch_1_us"]
        assert row["load_ms"] > 0
        assert row["rss_grown_mb"] is None or 0 < row["rss_grown_mb"] < 100


def test_reproduce_chooses_the_best_within_limits() -> None:
    from gapcast_trainer.study.choice import answer

    def row(name: str, mse_kw2: float, **other: object) -> dict[str, object]:
        cheap = {"bytes": 1_000, "batch_1_us": 20.0, "row_at_256_us": 1.0, "warm_up": {"2": 0.20}}
        return {"name": name, "mse_kw2": mse_kw2, **cheap, **other}

    rows = [
        row("plain", 0.21),
        row("better", 0.19),
        row("large", 0.17, bytes=400_001),
        row("slow", 0.17, batch_1_us=121.0),
        row("wild at first", 0.17, warm_up={"2": 0.24, "30": 0.17}),
    ]
    assert answer(rows, 0.23) == "better"
    assert answer(rows[2:], 0.23) is None


def test_reproduce_without_own_models_uses_the_shipped_ones(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the shipped ones the default, and one that is no choice: each would be measured in a process of its own."""
    for name in ("lstm", "outlook"):
        shutil.copytree(MODELS / name, tmp_path / "shipped" / name)
    monkeypatch.setattr("gapcast_trainer.commands.study.models_path", lambda: tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    words = ("--raw", str(raw), "--quick", "--only", "choice", "--out", "out")
    result = CliRunner().invoke(reproduce, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "`lstm`" in (tmp_path / "out/study.md").read_text(encoding="utf-8")
    found = load_results(tmp_path / "out")["choice"]
    assert [row["name"] for row in found["models"]] == ["lstm"]


def test_reproduce_without_the_readings_names_fetch(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no\.zip: is not there: download it with `gapcast-trainer fetch`"):
        load(tmp_path / "no.zip")


def test_reproduce_skips_finished_parts(quick_run: tuple[Path, Result], raw: Path) -> None:
    out, _ = quick_run
    before = (out / "line.json").stat().st_mtime_ns
    assert "line: is there already" in reproduce_in(out, raw, "--only", "line").output
    assert (out / "line.json").stat().st_mtime_ns == before
    assert "line: done" in reproduce_in(out, raw, "--only", "line", "--again").output
    assert "line: done" in reproduce_in(out, raw, "--only", "line", "--share", "0.06").output  # made otherwise


def test_reproduce_ctrl_c_keeps_finished_parts(raw: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def show(line: str) -> None:
        said.append(line)
        if line == "streaming: begins":
            raise KeyboardInterrupt

    settings = StudySettings(out=tmp_path, models=MODELS, quick=True)
    with pytest.raises(KeyboardInterrupt):
        run(load(raw), settings, ("line", "streaming"), show=show)
    assert [path.name for path in tmp_path.iterdir()] == ["line.json"]
    said.clear()
    run(load(raw), settings, ("line",), show=said.append)
    assert said == [f"line: is there already ({tmp_path / 'line.json'})"]


def test_reproduce_redraws_without_training(quick_run: tuple[Path, Result], raw: Path, tmp_path: Path) -> None:
    out, _ = quick_run
    docs = tmp_path / "study.md"
    docs.write_text(
        "Before.\n<!-- table: line -->\nold\n<!-- end -->\nAfter.\n<!-- table: padding -->\nx\n<!-- end -->\n"
    )
    again = reproduce_in(out, raw, "--draw", "--pictures", str(tmp_path / "p"), "--docs", str(docs))
    assert again.exit_code == 0
    assert "begins" not in again.output
    for name in ("study-line.svg", "study-streaming.svg"):
        assert (tmp_path / "p" / name).read_bytes() == (out / "pictures" / name).read_bytes()
    text = docs.read_text()
    assert text.startswith("Before.\n<!-- table: line -->\n| MSE kW² |")
    assert "<!-- end -->\nAfter.\n<!-- table: padding -->\nx\n" in text  # there is no such result: it stays


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--only", "line,lime"), "the study has no part 'lime': there are study, line, streaming"),
        (("--only", "choice", "--models", "none"), "none: holds no model to choose from"),
        (("--draw",), "holds no result of the study"),
    ],
)
def test_reproduce_errors_are_one_sentence(
    raw: Path, tmp_path: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GapcastError, match=said):
        reproduce_in(tmp_path / "out", raw, *words)
    assert not (tmp_path / "out").exists()


def test_reproduce_invalid_result_or_table_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "line.json").write_text("{}")
    with pytest.raises(RunError, match=r"line\.json: is not a result of the study: remove it"):
        load_results(tmp_path)
    with pytest.raises(RunError, match="there is no table 'lime'"):
        tables.refresh("<!-- table: lime -->\n<!-- end -->", {})


def test_reproduce_runs_parts_in_order() -> None:
    assert find_parts("padding, study") == ("study", "padding")
    assert find_parts(None) == tuple(PARTS)


@pytest.mark.e2e
def test_reproduce_whole_study_in_short(quick_run: tuple[Path, Result], raw: Path, tmp_path: Path) -> None:
    """Every part, its two models and all pictures; the choice, which measures models, is there already."""
    shutil.copy(quick_run[0] / "choice.json", tmp_path)
    found = reproduce_in(tmp_path, raw)
    assert found.exit_code == 0
    assert set(load_results(tmp_path)) == {step for part in PARTS.values() for step in part}
    assert len(draw(load_results(tmp_path), tmp_path / "pictures")) == 6
    rows = json.loads((tmp_path / "comparison.json").read_text())
    with (tmp_path / "comparison.csv").open(newline="") as stream:
        assert [row["what"] for row in csv.DictReader(stream)] == [row["what"] for row in rows]
    here = {row["what"]: row["here"] for row in rows}
    assert (here["model 1, parameters"], here["model 2, parameters"]) == (252, 1_961)
    assert "trained on" in (tmp_path / "study.md").read_text()
