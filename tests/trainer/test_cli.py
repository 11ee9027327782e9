"""The command: from a raw file to a scored model, and its errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tqdm import tqdm

from gapcast.recordings.formats import clean_file
from gapcast_trainer.cli import main
from tests.support.uci_files import household, rows, write_text, write_zip
from tests.support.waiting import GUARD_S

PARTS = (
    "--set", "data.train_until=2020-01-04T18:00:00Z", "--set", "data.validate_until=2020-01-06",
    "--set", "data.test_until=2020-02-01", "--set", "descent.epochs=1",
)  # fmt: skip


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, prog_name="gapcast-trainer", catch_exceptions=False)


def test_package_runs_as_the_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "gapcast_trainer", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.startswith("Usage: gapcast-trainer [OPTIONS]")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


STEPS = (
    ("prepare", "raw.zip"), ("train", "linear", *PARTS), ("export", "runs/linear"),
    ("evaluate", "--brief", "--json", "scores.json"),
)  # fmt: skip


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Result]]:
    """A folder in which a raw file became a scored model, and the output of each step."""
    folder = tmp_path_factory.mktemp("scored")
    write_zip(folder / "raw.zip", rows(household().tolist()))
    with chdir(folder):
        return folder, [run(*step) for step in STEPS]


def test_cli_from_raw_data_to_a_scored_model(scored: tuple[Path, list[Result]]) -> None:
    folder, (prepared, trained, exported, evaluated) = scored
    assert prepared.exit_code == 0
    assert "9,000 readings" in prepared.output
    assert "0 minutes missing" in prepared.output
    assert "not the whole set: 9,000 rows with 0 missing readings, of 2,075,259" in prepared.output
    assert (trained.exit_code, "linear: finished" in trained.output) == (0, True)
    assert "linear: the training part has only 3.8 days: with fewer than about 10 a model may be no" in trained.output
    persistence_kw2 = json.loads((folder / "runs/linear/run.json").read_text())["persistence_mse_kw2"]
    assert f" kW², of persistence {persistence_kw2:.5f} kW²" in trained.output
    assert exported.exit_code == 0
    assert "the default model of the folder models is linear" in exported.output
    assert evaluated.exit_code == 0
    assert [line.split()[0] for line in evaluated.stdout.splitlines()[2:5]] == ["persistence", "trend", "linear"]
    assert "Every forecast of the stream" in evaluated.stdout
    assert "by the hour of the target" not in evaluated.stdout  # --brief
    content = json.loads((folder / "scores.json").read_text())
    card = json.loads((folder / "models/linear/card.json").read_text())
    assert content["models"][2]["headline"]["mse_kw2"] == pytest.approx(card["scores"]["model"]["mse_kw2"], abs=1e-6)
    assert files(folder) == {
        "raw.zip", "scores.json", "runs/household.parquet", "runs/household.html", "runs/linear/run.json",
        "runs/linear/weights.npz", "models/registry.json", "models/linear/card.json", "models/linear/model.tflite",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([], "raw.txt: holds a header and no readings"),
        (["a,b"], "raw.txt, line 2: has 1 fields separated by ';', not 9"),
        ([*rows([1.0, 2.0]), *rows([3.0])], "raw.txt, line 4: 2020-01-01T00:00:00Z is earlier than the row before it"),
        (rows([1.0, "many"]), "raw.txt, line 3: Global_active_power is 'many', not a number or '?'"),
    ],
)
def test_prepare_bad_data_is_one_sentence_and_writes_nothing(at_home: Path, lines: list[str], error: str) -> None:
    write_text(at_home / "raw.txt", lines)
    found = run("prepare", "raw.txt")
    assert found.exit_code == 2
    assert error in found.output
    assert len(found.output.splitlines()) == 1
    assert files(at_home) == {"raw.txt"}


def test_prepare_that_fails_keeps_an_older_clean_file(at_home: Path) -> None:
    write_text(at_home / "raw.txt", rows([1.0, 2.0]))
    assert run("prepare", "raw.txt").exit_code == 0
    before = (at_home / "runs/household.parquet").read_bytes()
    write_text(at_home / "raw.txt", rows([1.0, "x"]))
    assert run("prepare", "raw.txt").exit_code == 2
    write_text(at_home / "raw.txt", rows([1.0, 3.0]))
    found = run("prepare", "raw.txt", "--report", "raw.txt/report.html")
    assert (found.exit_code, "report.html: cannot be written" in found.output) == (2, True), found.output
    assert (at_home / "runs/household.parquet").read_bytes() == before
    assert files(at_home) == {"raw.txt", "runs/household.parquet", "runs/household.html"}


def a_meter(folder: Path, name: str = "meter.csv") -> Path:
    """Two days of samples every 10 s, watts, by a local clock."""
    when = (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=10 * k) for k in range(2 * 8_640))
    lines = [f"{time:%Y-%m-%d %H:%M:%S},{200 + 100 * (k // 90 % 7)},230" for k, time in enumerate(when)]
    (folder / name).write_text("\n".join(["When,Power,Voltage", *lines]) + "\n")
    return folder / name


COLUMNS = ("--time-column", "When", "--value-column", "Power")


def test_prepare_any_meter_csv_gives_minutes_and_a_report(at_home: Path) -> None:
    a_meter(at_home)
    options = ("--unit", "w", "--timezone", "Europe/Berlin", "--feature", "voltage_v=Voltage", "--out", "house.parquet")
    found = run("prepare", "meter.csv", *COLUMNS, *options)
    assert found.exit_code == 0, found.output
    assert "17,280 rows, a sample every 10 s, averaged over each minute" in found.output
    assert "source: meter.csv, column Power (W); each timestamp is a time without an offset, in Europe/" in found.output
    assert "2,880 minutes from 2019-12-31T23:00:00Z to 2020-01-02T22:59:00Z" in found.output
    assert "(2020-01-01 00:00 to 2020-01-02 23:59 in Europe/Berlin)" in found.output
    assert found.output.splitlines()[-1] == "wrote house.parquet and house.html"
    assert files(at_home) == {"meter.csv", "house.parquet", "house.html"}
    series = clean_file.read(at_home / "house.parquet").series
    assert series.gap_kw.mean() == pytest.approx(0.5, abs=0.01)
    assert list(series.extra) == ["voltage_v"]
    assert "time of day (Europe/Berlin)" not in (at_home / "house.html").read_text()  # letters are outlines
    assert "Times are of the clock Europe/Berlin." in (at_home / "house.html").read_text()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), "meter.csv, line 1: is not UCI's household set"),
        (("--time-column", "When"), "--time-column needs --value-column too"),
        (("--value-column", "Power"), "--value-column needs --time-column too"),
        (("--unit", "W"), "for another file name its columns by --time-column and --value-column"),
        (COLUMNS, "meter.csv, line 1: does not state whether 'Power' is in W or kW: use --unit"),
        ((*COLUMNS, "--unit", "MW"), "'MW' is not one of"),
        (
            (*COLUMNS, "--unit", "W"),
            "line 2: '2020-01-01 00:00:00' has no UTC offset: set its time zone with --timezone",
        ),
        ((*COLUMNS, "--unit", "kW", "--timezone", "UTC"), "line 2: 200 kW is outside -100 to 100 kW: is it in W?"),
        ((*COLUMNS, "--timezone", "Mars"), "'Mars' is not an IANA time zone, such as Europe/London or UTC"),
        ((*COLUMNS, "--timezone", "../etc"), "'../etc' is not an IANA time zone"),
        ((*COLUMNS, "--separator", "comma"), "'comma' is neither one character nor the word tab"),
        ((*COLUMNS, "--separator", "tab"), "line 1: has no column 'When' among 'When,Power,Voltage': is '"),
        ((*COLUMNS, "--time-format", "%d.%m.%Y", "--unit", "W"), "does not match --time-format '%d.%m.%Y'"),
        ((*COLUMNS, "--feature", "volts=Voltage"), "--feature volts=Voltage: must be NAME=COLUMN"),
        ((*COLUMNS, "--feature", "voltage_v"), "--feature voltage_v: must be NAME=COLUMN"),
        ((*COLUMNS, "--hold", "0"), "'0' is not a number of minutes above 0 and up to 527,040"),
        ((*COLUMNS, "--hold", "nan"), "'nan' is not a number of minutes above 0 and up to 527,040"),
        ((*COLUMNS, "--out", "meter.csv"), "must be three files"),
        ((*COLUMNS, "--out", "house.html"), "must be three files"),
    ],
)
def test_prepare_incomplete_csv_is_named_and_writes_nothing(
    at_home: Path, options: tuple[str, ...], error: str
) -> None:
    before = a_meter(at_home).read_bytes()
    found = run("prepare", "meter.csv", *options)
    assert found.exit_code == 2
    assert error in " ".join(found.output.split())
    assert files(at_home) == {"meter.csv"}
    assert (at_home / "meter.csv").read_bytes() == before


def test_prepare_without_its_extra_names_it(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(at_home / "raw.txt", rows([1.0, 2.0]))
    for name in [name for name in sys.modules if name.startswith("gapcast_trainer.data_report.page")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "gapcast_trainer.report.page", raising=False)
    found = run("prepare", "raw.txt")
    assert (found.exit_code, "jinja2 is not installed; this command needs the trainer extra" in found.output) == (
        2,
        True,
    )
    assert files(at_home) == {"raw.txt"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("prepare", "nothing.zip"), "'nothing.zip' does not exist"),
        (("train", "linear"), "runs/household.parquet: is not there: create it with `gapcast-trainer prepare`"),
        (("export", "runs/linear"), "runs/linear: contains no run.json of a training run"),
        (("evaluate",), "runs/household.parquet: is not there"),
        (("evaluate", "gpt"), "no model is called gpt, in models or shipped with gapcast: there are linear, lstm, "),
        (
            ("train", "linear", "--set", "data.train_until=2012-01-01", "--set", "data.test_until=2011-01-01"),
            "experiment linear: data.test_until (2011-01-01, --set) is before data.train_until (2012-01-01, --set)",
        ),
        (
            ("train", "linear", "--set", "data.train_until=soon"),
            "data.train_until: must be a date or a time, as 2009-07-01",
        ),
        (("train", "linear", "--set", "epochs"), "--set epochs: must be KEY=VALUE, as descent.epochs=3"),
        (("train", "linear", "--set", "speed=3"), "experiment linear: speed: there is no such key"),
        (("train", "mine.toml"), "mine.toml: cannot be read"),
        (("train", "lstm"), "experiment lstm: is the last of several steps (docs/models.md, Recipe): descent.only_new"),
        (("train", "lstm"), "by --start. lstm-5-3 is a plain LSTM to begin with"),
        (("train", "linear", "--set", "ridge"), "--set ridge: must be KEY=VALUE"),
        (("train", "linear", "--set", "seed=much"), "experiment linear: seed: must be a whole number (it is 'much')"),
    ],
)
def test_cli_errors_are_one_sentence(at_home: Path, words: tuple[str, ...], error: str) -> None:
    found = run(*words)
    assert found.exit_code == 2
    assert error in found.output
    assert not files(at_home)


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    ("levels", "has_note"), [("[0.1, 0.5, 0.9]", True), ("[0.05]", True), ("[0.05, 0.5, 0.95]", False), ("null", False)]
)
def test_train_notes_quantile_levels_without_an_interval(levels: str, has_note: bool) -> None:
    found = run("train", "linear", "--set", f"outputs.quantile_levels={levels}")
    note = f"linear: outputs.quantile_levels: with {levels[1:-1]} the model has no interval of its own, which needs"
    assert (note in found.output) == has_note == ("no interval" in found.output)


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    write_text(folder / "raw.txt", rows(household().tolist()))
    with chdir(folder):
        assert run("prepare", "raw.txt").exit_code == 0
    return folder


@pytest.fixture
def prepared(prepared_once: Path, at_home: Path) -> Path:
    """A working folder with a prepared household."""
    shutil.copytree(prepared_once, at_home, dirs_exist_ok=True)
    return at_home


@pytest.fixture(scope="module")
def same_houses(prepared_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clean files: the prepared household in another time zone, and another household in two."""
    folder = tmp_path_factory.mktemp("houses")
    write_text(folder / "other.txt", rows(household().tolist()[::-1]))
    for raw, zone, out in (
        (prepared_once / "raw.txt", "Europe/Paris", "own"),
        (folder / "other.txt", "UTC", "a"),
        (folder / "other.txt", "Europe/Paris", "b"),
    ):
        found = run("prepare", str(raw), "--timezone", zone, "--out", str(folder / f"{out}.parquet"))
        assert found.exit_code == 0, found.output
    return folder


@pytest.mark.parametrize(
    ("until", "kw", "warning"),
    [
        ("2020-01-06", None, ""),
        ("2020-01-07T06:00Z", None, "the file has no windows to score the model on in the test part, so that"),
        ("2020-01-06", 0.3, "the power never changes in the test part, so that `export` will reject the model: set"),
    ],
)
def test_train_warns_of_an_unusable_test_part(at_home: Path, until: str, kw: float | None, warning: str) -> None:
    readings = household()
    if kw is not None:
        readings[7_200:] = kw
    write_text(at_home / "raw.txt", rows(readings.tolist()))
    run("prepare", "raw.txt")
    trained = run("train", "linear", *PARTS, "--set", f"data.validate_until={until}")
    assert trained.exit_code == 0, trained.output
    shown = [line for line in trained.output.splitlines() if "in the test part" in line]
    assert (bool(shown), warning in "".join(shown)) == (bool(warning), True)


def test_fit_invalid_name_or_split_is_one_sentence(prepared: Path) -> None:
    found = run("train", "gpt")
    assert (found.exit_code, "no experiment is called gpt: there are linear, lstm, " in found.output) == (2, True)
    found = run("train", "linear")
    assert (found.exit_code, "no window to train on" in found.output) == (2, True)
    found = run("train", "linear", "--set", "data.train_until=2012-01-01")
    dates = "data.validate_until (2010-01-01, the shipped experiment) is before data.train_until (2012-01-01, --set)"
    assert (found.exit_code, f"experiment linear: {dates}" in found.output) == (2, True)
    found = run("train", "linear", "--set", "hyper.speed=3", *PARTS)
    assert (found.exit_code, "hyper.speed: " in found.output) == (2, True)
    found = run("export", "runs/linear")
    assert (found.exit_code, "contains no run.json of a training run" in found.output) == (2, True)
    assert files(prepared) == {"raw.txt", "runs/household.parquet", "runs/household.html"}


@pytest.mark.parametrize(
    ("houses", "error"),
    [
        (
            ("big=own.parquet",),
            "--house big=own.parquet: has the same readings as --clean runs/household.parquet: give",
        ),
        (("big=a.parquet", "small=b.parquet"), "--house small=b.parquet: has the same readings as --house big=a.parq"),
    ],
)
def test_train_house_given_twice_is_rejected(
    prepared: Path, same_houses: Path, houses: tuple[str, ...], error: str
) -> None:
    """Also in another time zone, which gives the file another hash."""
    shutil.copytree(same_houses, prepared, dirs_exist_ok=True)
    words = (word for house in houses for word in ("--house", house))
    found = run("train", "linear", *PARTS, *words)
    assert (found.exit_code, error in " ".join(found.output.split())) == (2, True), found.output
    assert not (prepared / "runs/linear").exists()


def test_export_unknown_default_is_rejected_before_it_writes(scored: tuple[Path, list[Result]], at_home: Path) -> None:
    shutil.copytree(scored[0], at_home, dirs_exist_ok=True)
    written_ns = (at_home / "models/linear/model.tflite").stat().st_mtime_ns
    found = run("export", "runs/linear", "--default", "gone")
    assert (found.exit_code, "converting" in found.output) == (2, False)
    assert "--default gone: models will have no such model; it will have linear" in found.output
    assert (at_home / "models/linear/model.tflite").stat().st_mtime_ns == written_ns


def test_evaluate_failed_check_has_its_own_exit_code(scored: tuple[Path, list[Result]], at_home: Path) -> None:
    shutil.copytree(scored[0], at_home, dirs_exist_ok=True)
    model = at_home / "models/linear/model.tflite"
    model.write_bytes(model.read_bytes()[:-1])
    found = run("evaluate")
    assert found.exit_code == 3
    assert "is not the file that its card describes" in found.output


def test_fit_ctrl_c_keeps_the_best_so_far(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real signal, at any point after the first epoch: the command ends without error, and its run can be exported.

    It runs in this process, which has TensorFlow: another would load it for five seconds.
    """
    shown: list[str] = []
    ctrl_c = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))

    def show(line: str) -> None:
        shown.append(line)
        if line.startswith("epoch 1: loss "):
            ctrl_c.start()

    monkeypatch.setattr(tqdm, "write", show)
    keys = (
        "descent.epochs=5000",
        "descent.patience=5000",
        "descent.batch_size=512",
        "hyper.units=[2]",
        "window.context=8",
    )
    found = run("train", "lstm-5-3", *PARTS, *(word for key in keys for word in ("--set", key)))
    ctrl_c.join(GUARD_S)
    assert found.exit_code == 0, found.output
    assert shown[0].startswith("epoch 1 of at most 5000: ")
    assert "lstm-5-3: interrupted, best after epoch " in found.output
    assert json.loads((prepared / "runs/lstm-5-3/run.json").read_text())["status"] == "interrupted"
    assert run("export", "runs/lstm-5-3").exit_code == 0


def test_train_ctrl_c_in_the_first_epoch_stores_nothing(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gapcast_trainer.training.descent.gradient_descent.fit_epochs", interrupted)
    before = files(prepared)
    found = run("train", "linear", *PARTS)
    assert (found.exit_code, "Aborted!" in found.output) == (1, False)
    assert "linear: interrupted before the end of the first epoch: nothing is stored" in found.output
    assert files(prepared) == before


def test_cli_help_imports_no_tensorflow() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from gapcast_trainer.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "heavy = {'tensorflow', 'keras', 'pandas'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
