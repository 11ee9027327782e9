"""Commands do not write over their inputs, or over another result."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from gapcast.core.errors import SettingsError
from gapcast.recordings.written_files import check_apart, exiting_on_signals


def test_written_file_that_is_read_is_refused(tmp_path: Path) -> None:
    house = tmp_path / "house.csv"
    house.write_text("readings", encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"--out .*would replace the file .*house\.csv, which is read: name another"
    ):
        check_apart([house], {"--json": None, "--out": tmp_path / "." / "house.csv"})


def test_written_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--out .*all: would replace what --json writes: name another file"):
        check_apart([], {"--json": tmp_path / "all", "--out": tmp_path / "all"})


def test_written_files_may_be_one_device() -> None:
    check_apart([], {"--json": Path("/dev/null"), "--out": Path("/dev/null")})


def test_written_file_of_the_models_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "models" / "lstm" / "card.json"
    model.parent.mkdir(parents=True)
    model.touch()
    with pytest.raises(
        SettingsError, match=r"--out .*card\.json: would replace a file of the models in .*models: name"
    ):
        check_apart([], {"--out": model}, [tmp_path / "models"])
    check_apart([], {"--out": model.with_name("scores.json")}, [tmp_path / "models"])
    check_apart([], {"--out": model}, [tmp_path / "others"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_ends_the_block_in_an_orderly_way(
    number: signal.Signals, code: int, request: pytest.FixtureRequest
) -> None:
    former = signal.signal(number, signal.SIG_DFL)  # below nohup it is ignored, and stays so
    request.addfinalizer(lambda: signal.signal(number, former))
    with pytest.raises(SystemExit) as caught, exiting_on_signals():
        os.kill(os.getpid(), number)
    assert caught.value.code == code
    assert signal.getsignal(number) is signal.SIG_DFL


def test_signal_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_IGN)
    monkeypatch.setattr(signal, "signal", lambda *_: pytest.fail("the signal is handled"))
    with exiting_on_signals():
        pass
