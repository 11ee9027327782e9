"""A missing extra: the fix installs it where gapcast is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gapcast.core.errors import BrokerError
from gapcast.demo.broker import EmbeddedBroker
from gapcast.text.install_command import install_command
from tests.support.waiting import GUARD_S

#: The files by which the environments of pipx and uv are known.
PIPX, UV = "pipx_metadata.json", "uv-receipt.toml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, whose commands are on the PATH."""
    commands = tmp_path / "home" / "bin"
    commands.mkdir(parents=True)
    (commands / "gapcast").touch(mode=0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(commands))
    return tmp_path / "home"


def run_in(environment: Path, monkeypatch: pytest.MonkeyPatch, receipt: str | None = None) -> None:
    """Let this interpreter seem to be that of an environment, with the file of its installer."""
    environment.mkdir(parents=True)
    if receipt is not None:
        (environment / receipt).touch()
    monkeypatch.setattr(sys, "prefix", str(environment))


@pytest.mark.parametrize(
    ("environment", "receipt", "command"),
    [
        (".local/share/pipx/venvs/gapcast", PIPX, "pipx install --force '.[demo]'"),
        (".local/share/uv/tools/gapcast", UV, "uv tool install --force '.[demo]'"),
        ("venv", None, "pip install '.[demo]'"),
    ],
)
def test_install_command_in_a_home_is_of_the_installer(
    environment: str, receipt: str | None, command: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(home / environment, monkeypatch, receipt)
    assert install_command("demo") == command


def test_install_command_for_all_accounts_names_the_folders(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path / "opt" / "pipx" / "venvs" / "gapcast", monkeypatch, PIPX)
    folders = f"PIPX_HOME={tmp_path}/opt/pipx PIPX_BIN_DIR={home}/bin"
    assert install_command("demo") == f"sudo {folders} pipx install --force '.[demo]'"
    run_in(tmp_path / "opt" / "uv" / "gapcast", monkeypatch, UV)
    folders = f"UV_TOOL_DIR={tmp_path}/opt/uv UV_TOOL_BIN_DIR={home}/bin"
    assert install_command("demo") == f"sudo {folders} uv tool install --force '.[demo]'"


def test_demo_of_pipx_without_a_broker_names_the_command_of_pipx(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_in(home / ".local/share/pipx/venvs/gapcast", monkeypatch, PIPX)
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    broker = EmbeddedBroker(0)
    with pytest.raises(BrokerError, match=r"not installed: pipx install --force '\.\[demo\]' in the checkout"):
        broker.start()
    assert broker._loop is not None
    assert broker._thread is not None
    broker._loop.call_soon_threadsafe(broker._loop.stop)
    broker._thread.join(GUARD_S)
    broker._loop.close()
