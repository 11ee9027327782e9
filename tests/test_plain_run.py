"""``gapcast run`` does without the library of the command line, and ends as it does with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gapcast import entry
from gapcast.commands import plain_run
from gapcast.commands import run as run_command
from gapcast.config.settings import Settings

_WITHOUT_CLICK = """
import sys
from gapcast.commands import run
run.serve = lambda settings: print(settings.mqtt.host)
sys.argv = ["gapcast", "run"]
from gapcast.entry import main
main()
import gapcast.app.application
print("click" in sys.modules)
"""
_SHOWS = """
import sys
from gapcast import cli
cli.main = lambda **_: print("AGE –, zähler/5 €")
sys.argv = ["gapcast", "status"]
from gapcast.entry import main
main()
"""


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that are served."""
    found: list[Settings] = []
    monkeypatch.setattr(run_command, "serve", found.append)
    return found


def gapcast(folder: Path, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "gapcast", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [["run"], ["run", "--config", "own.toml"]])
def test_plain_run_serves_the_settings(
    arguments: list[str], served: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text("[mqtt]\nport = 1999\n", encoding="utf-8")
    assert plain_run.serve_plainly(arguments, {"GAPCAST_MQTT__HOST": "broker"})
    (settings,) = served
    assert settings.mqtt.host == "broker"
    assert settings.mqtt.port == (1999 if len(arguments) > 1 else 1883)


@pytest.mark.parametrize(
    "arguments",
    [[], ["check"], ["run", "--help"], ["run", "--config"], ["run", "--config", "--help"], ["run", "--set", "a.b=1"]],
)
def test_other_arguments_are_left_to_the_command_line(arguments: list[str], served: list[Settings]) -> None:
    assert not plain_run.serve_plainly(arguments, {})
    assert not served


def test_completion_is_left_to_the_command_line(served: list[Settings]) -> None:
    assert not plain_run.serve_plainly(["run"], {"_GAPCAST_COMPLETE": "bash_complete"})
    assert not served


def test_several_shards_are_left_to_the_command_line(served: list[Settings]) -> None:
    assert not plain_run.serve_plainly(["run"], {"GAPCAST_SHARDS": "0,1"})
    assert not served


def test_entry_leaves_other_commands_to_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry, "defer_unused_modules", lambda: None)
    monkeypatch.setattr(sys, "argv", ["gapcast", "run", "--help"])
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 0
    assert "Usage: gapcast run" in capsys.readouterr().out


def test_interrupt_during_the_start_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "defer_unused_modules", lambda: None)
    monkeypatch.setattr(entry, "serve_plainly", interrupted)
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "\nAborted!\n"


def test_invalid_settings_end_both_ways_alike(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[mqtt]\nport = 0\n", encoding="utf-8")
    plain = gapcast(tmp_path, "run", "--config", "own.toml")
    assert plain == gapcast(tmp_path, "run", "--config=own.toml")
    assert plain[0] == 2
    assert plain[2].startswith("gapcast: ")


def test_missing_model_ends_both_ways_alike(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "own.toml").write_text('[models]\npath = "models"\n[state]\npath = "state"\n', encoding="utf-8")
    plain = gapcast(tmp_path, "run", "--config", "own.toml")
    assert plain == gapcast(tmp_path, "run", "--config=own.toml")
    assert plain[0] == 3


def test_service_does_without_the_library_of_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_CLICK], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["localhost", "False"]


def test_command_output_is_replaced_where_the_locale_lacks_a_character() -> None:
    command, environment = [sys.executable, "-c", _SHOWS], os.environ | {"PYTHONIOENCODING": "iso-8859-1"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "AGE ?, zähler/5 ?\n".encode("iso-8859-1"), b"")


@pytest.mark.parametrize("arguments", [["models"], ["--help"]])
def test_full_disk_of_the_output_is_an_error_message(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gapcast", *arguments]
    with Path("/dev/full").open("w", encoding="ascii") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "gapcast: cannot write the output (No space left on device): free disk space\n"


def test_former_key_of_the_configuration_is_logged_as_json(tmp_path: Path) -> None:
    (tmp_path / "gapcast.toml").write_text(
        '[topics]\ndealing = "check/{gateway}"\n[models]\npath = "none"\n', encoding="utf-8"
    )
    code, _, errors = gapcast(tmp_path, "run")
    warning, problem = errors.splitlines()
    assert json.loads(warning) | {"timestamp": ""} == {
        "event": "configuration.former_key",
        "key": "topics.dealing",
        "fix": "write topics.distribution_check: 0.3.0 rejects the former name",
        "level": "warning",
        "timestamp": "",
    }
    assert code
    assert problem.startswith("gapcast: ")
