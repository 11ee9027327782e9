"""Files that back-tests write: complete or absent, and never over an input."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from gapcast.backtest import run
from gapcast.backtest.batch_tally import BatchTally
from gapcast.backtest.forecasts.whole_file import WholeFile, remove_parts, write_whole
from gapcast.backtest.results.report import check_writable
from gapcast.cli import main
from gapcast.core.errors import SettingsError
from gapcast.core.streams.minute_runs import MinuteRun


def test_whole_file_takes_its_name_when_complete(tmp_path: Path) -> None:
    file = WholeFile("--out", tmp_path / "out.csv", ("a", "b"))
    file.write((1, 2))
    assert not (tmp_path / "out.csv").exists()
    file.close(is_complete=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").split() == ["a,b", "1,2"]


def test_whole_file_incomplete_leaves_nothing(tmp_path: Path) -> None:
    WholeFile("--out", tmp_path / "out.csv", ("a",)).close(is_complete=False)
    assert list(tmp_path.iterdir()) == []


def test_whole_file_keeps_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_whole("--json", tmp_path / "link", "{}")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text(encoding="utf-8") == "{}"


def test_whole_file_writes_to_a_device_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole("--json", pipe, "{}")
        assert os.read(reader, 10) == b"{}"
    finally:
        os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_whole_file_writes_to_an_unnamed_pipe() -> None:
    """A shell passes an unnamed pipe for ``--out /dev/stdout | sort`` and for ``--out >(gzip > out.csv.gz)``."""
    reader, writer = os.pipe()
    try:
        write_whole("--out", Path(f"/dev/fd/{writer}"), "{}")
        assert os.read(reader, 10) == b"{}"
    finally:
        os.close(reader)
        os.close(writer)


def test_device_in_a_folder_without_permission_is_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) == Path("/dev/null"))
    check_writable("--json", Path("/dev/null"))
    with pytest.raises(SettingsError, match=r"--json /dev/new: cannot be written: this account may not write to /dev$"):
        check_writable("--json", Path("/dev/new"))


def test_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be written: is a folder; add the name of a file$"):
        check_writable("--json", tmp_path)
    with pytest.raises(SettingsError, match=r"cannot be written: there is no folder .*/none$"):
        check_writable("--json", tmp_path / "none/scores.json")


def test_whole_file_on_a_full_disk_is_named() -> None:
    with pytest.raises(SettingsError, match=r"--json /dev/full: cannot be written \(No space left on device\)"):
        write_whole("--json", Path("/dev/full"), "{}")


def test_whole_file_that_cannot_take_its_name_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SettingsError, match=r"out\.json: cannot be written \(Input/output error\)"):
        write_whole("--json", tmp_path / "out.json", "{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("restored_logs")
def test_backtest_command_does_not_replace_its_readings(tmp_path: Path) -> None:
    house = tmp_path / "house.csv"
    house.write_text("time,kw\n2026-01-01T00:00,1\n", encoding="utf-8")
    columns = ["--time-column", "time", "--value-column", "kw"]
    result = CliRunner().invoke(main, ["backtest", str(house), *columns, "--json", str(house)])
    assert result.exit_code == 2
    assert "which is read: name another file" in result.output
    assert house.read_text(encoding="utf-8").startswith("time,kw")


@pytest.mark.usefixtures("restored_logs")
@pytest.mark.parametrize("by_name", [True, False])
def test_backtest_command_does_not_replace_its_configuration(
    tmp_path: Path, by_name: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "house.csv").write_text("time,kw\n2026-01-01T00:00,1\n", encoding="utf-8")
    (tmp_path / "gapcast.toml").write_text("[learning]\n", encoding="utf-8")
    words = ["house.csv", "--time-column", "time", "--value-column", "kw", *["--config", "./gapcast.toml"] * by_name]
    result = CliRunner().invoke(main, ["backtest", *words, "--out", "gapcast.toml"])
    assert result.exit_code == 2
    assert "gapcast.toml, which is read: name another file" in result.output
    assert (tmp_path / "gapcast.toml").read_text(encoding="utf-8") == "[learning]\n"


@pytest.mark.usefixtures("restored_logs")
def test_backtest_command_does_not_replace_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "house.csv").write_text("time,kw\n2026-01-01T00:00,1\n", encoding="utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/registry.json").write_text("{}", encoding="utf-8")
    words = ["house.csv", "--time-column", "time", "--value-column", "kw", "--set", "models.path=models"]
    result = CliRunner().invoke(main, ["backtest", *words, "--json", "models/registry.json"])
    assert result.exit_code == 2
    assert "would replace a file of the models in models: name another file" in result.output


@pytest.mark.usefixtures("restored_logs")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_backtest_command_ended_by_a_signal_leaves_no_file(
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """The signal arrives with the second batch."""
    before = signal.signal(number, signal.SIG_DFL)  # below nohup it would be ignored, as it is by the command
    request.addfinalizer(lambda: signal.signal(number, before))
    house = tmp_path / "house.csv"
    rows = [f"2026-01-01T{i // 60:02d}:{i % 60:02d}Z,{i % 7}" for i in range(60)]
    house.write_text("\n".join(["time,kw", *rows]), encoding="utf-8")
    add_runs, n_batches = BatchTally.add_runs, iter(range(9))

    def add_and_kill(self: BatchTally, runs: Sequence[MinuteRun]) -> int:
        if next(n_batches):
            os.kill(os.getpid(), number)
        return add_runs(self, runs)

    monkeypatch.setattr(BatchTally, "add_runs", add_and_kill)
    monkeypatch.setattr(run, "BATCH_READINGS", 20)
    words = ["--time-column", "time", "--value-column", "kw", "--unit", "kW", "--set", "learning.refit=false"]
    result = CliRunner().invoke(main, ["backtest", str(house), *words, "--out", str(tmp_path / "out.csv")])
    assert (result.exit_code, [path.name for path in tmp_path.iterdir()]) == (code, ["house.csv"])


def test_whole_file_leaves_other_files_unchanged(tmp_path: Path) -> None:
    """This includes the input file if its name is the result's name plus ``.part``."""
    (tmp_path / "out.csv.part").write_text("readings", encoding="utf-8")
    write_whole("--out", tmp_path / "out.csv", "result")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "out.csv": "result",
        "out.csv.part": "readings",
    }


def test_remove_parts_removes_what_killed_runs_left(tmp_path: Path) -> None:
    for name in ("a[1].csv", "a[1].csv", "b.csv"):
        WholeFile("--out", tmp_path / name)._file.close()
    (tmp_path / "a[1].csv").touch()
    remove_parts(tmp_path / "a[1].csv")
    assert sorted(path.name.split(".csv")[0] for path in tmp_path.iterdir()) == [".b", "a[1]"]
