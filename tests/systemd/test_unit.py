"""The unit: checks by systemd's own tools, and its paths."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gapcast.cli import main
from gapcast.core.errors import SettingsError
from gapcast.systemd.unit import own_command, require_visible, unit

#: By ``systemd-analyze security``, 0 (nothing is reachable) to 10: what is left is the network, and being no image.
MOST_EXPOSURE = 1.1
CONFIG = Path("/etc/gapcast/gapcast.toml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The unit, for a command that is there."""
    path = tmp_path / "gapcast.service"
    path.write_text(unit(Path("/bin/true"), CONFIG), encoding="utf-8")
    return path


@pytest.mark.systemd
def test_unit_passes_systemd_analyze(file: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.systemd
def test_unit_is_confined(file: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(file)],
        capture_output=True, text=True, check=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    found = re.search(r"Overall exposure level for gapcast.service: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) <= MOST_EXPOSURE, done.stdout


def test_unit_limits_memory_files_and_tasks(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert {"UMask=0077", "MemoryMax=50%", "OOMPolicy=continue", "TasksMax=256", "LimitNOFILE=8192"} <= set(lines)
    assert "LimitCORE=0" in lines, "a core dump would hold the broker's password"


def test_unit_has_the_paths_of_the_installation() -> None:
    text = unit(Path("/usr/local/bin/gapcast"), Path("/etc/other/house.toml"))
    assert "ExecStart=/usr/local/bin/gapcast run --config /etc/other/house.toml\n" in text
    assert "LoadCredential=mqtt-password:/etc/other/mqtt-password\n" in text
    assert "@" not in text.replace("@system-service", "").replace("@privileged", "").replace("@resources", "")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("gapcast", "--command: gapcast must be an absolute path"),
        ("/opt/my gapcast/bin/gapcast", "--command: /opt/my gapcast/bin/gapcast contains a blank, which"),
        ("/opt/100%/gapcast", "contains '%', which systemd would interpret"),
        ("/opt/a;b/gapcast", "contains ';', which systemd would interpret"),
    ],
)
def test_unit_rejects_paths_that_systemd_would_interpret(path: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(problem)):
        unit(Path(path), CONFIG)


def test_unit_rejects_a_command_in_a_home_folder_with_a_fix(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["systemd-unit", "--command", "/home/pi/.local/bin/gapcast"])
    assert isinstance(shown.exception, SystemExit)
    assert shown.exit_code == 2
    assert "from the path of its checkout or wheel: " in shown.stderr
    assert "sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install ./gapcast" in shown.stderr
    link = tmp_path / "gapcast"
    link.symlink_to("/root/.local/bin/gapcast")
    with pytest.raises(SettingsError, match=r"/root/.local/bin/gapcast is in a home folder"):
        require_visible(link)
    with pytest.raises(SettingsError, match="/home/pi/python is in a home folder"):
        require_visible(Path("/usr/local/bin/gapcast"), [Path("/home/pi/python")])


@pytest.mark.parametrize("config", ["/home/pi/gapcast.toml", "/tmp/gapcast.toml", "gapcast.toml"])
def test_unit_rejects_an_unreadable_configuration(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["systemd-unit", "--command", "/usr/local/bin/gapcast", "--config", config])
    assert shown.exit_code == 2
    assert "put it, and mqtt-password, into /etc/gapcast" in shown.stderr


def test_unit_command_prints_it() -> None:
    shown = CliRunner().invoke(main, ["systemd-unit", "--command", "/usr/local/bin/gapcast"])
    assert shown.exit_code == 0
    assert shown.stdout == unit(Path("/usr/local/bin/gapcast"), CONFIG)


def test_unit_without_a_command_on_the_path_asks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/somewhere/else"])
    shown = CliRunner().invoke(main, ["systemd-unit"])
    assert shown.exit_code == 2
    assert "pass --command /usr/local/bin/gapcast" in shown.stderr


@pytest.mark.parametrize(("started", "found"), [("venv/bin/gapcast", "venv/bin"), ("./gapcast", "."), ("gapcast", "")])
def test_own_command_by_a_relative_path_is_absolute(
    started: str, found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_path = tmp_path / "path" / "gapcast"
    on_path.parent.mkdir()
    on_path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [started, "systemd-unit"])
    assert own_command() == (tmp_path / found / "gapcast" if found else on_path)
