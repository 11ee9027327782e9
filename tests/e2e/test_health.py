"""``python -m gapcast.health``, as a container's health check runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.test_commands import replay_settings
from tests.support.brokers import Broker
from tests.support.ports import free_port
from tests.support.waiting import GUARD_S

SettingsOf = Callable[[int], tuple[str, ...]]
ROOT = Path(__file__).parents[2]


def health(folder: Path, *arguments: str, **environment: object) -> subprocess.CompletedProcess[str]:
    """Run the check in ``folder``, as in the image; modules in that folder are not imported."""
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "edge")} | {key: str(value) for key, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )


def test_health_of_a_ready_service(
    start: Start, settings_of: SettingsOf, http_port: int, broker: Broker, tmp_path: Path
) -> None:
    start("run", *replay_settings(settings_of, broker)).wait_ready(http_port)
    done = health(tmp_path, "-m", "gapcast.health", GAPCAST_HTTP__PORT=http_port)
    assert done.returncode == 0, done
    assert '"status":"pass"' in done.stdout


def test_health_without_a_broker_is_unhealthy(
    start: Start, settings_of: SettingsOf, http_port: int, tmp_path: Path
) -> None:
    start("run", *settings_of(free_port())).wait_ready(http_port, "/livez")
    (tmp_path / "gapcast.toml").write_text(f'[http]\nhost = "127.0.0.1"\nport = {http_port}\n', encoding="utf-8")
    assert health(tmp_path, "-m", "gapcast.health", "--live").returncode == 0
    done = health(tmp_path, "-m", "gapcast.health")
    assert done.returncode == 1
    assert '"mqtt:connection":[{"status":"fail"' in done.stdout


def test_health_without_an_answer_names_the_address(tmp_path: Path) -> None:
    port = free_port()
    done = health(tmp_path, "-m", "gapcast.health", GAPCAST_HTTP__PORT=port)
    assert done.returncode == 1
    assert f"http://127.0.0.1:{port}/readyz cannot be reached" in done.stdout


def test_health_reads_a_configuration_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Like the service: editors on Windows write one."""
    port = free_port()
    (tmp_path / "gapcast.toml").write_text(f"[http]\nport = {port}\n", encoding="utf-8-sig")
    assert f"http://127.0.0.1:{port}/readyz" in health(tmp_path, "-m", "gapcast.health").stdout


def test_health_reads_files_that_contain_the_address(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    for name, port in zip(("here", "there"), ports, strict=True):
        (tmp_path / name).write_text(f"{port}\n", encoding="utf-8")
    (tmp_path / "empty").touch()
    (tmp_path / "gapcast.toml").write_text('[http]\nport_file = "here"\n', encoding="utf-8")
    for file, port in (("empty", ports[0]), ("there", ports[1])):
        found = health(tmp_path, "-m", "gapcast.health", GAPCAST_HTTP__PORT_FILE=file).stdout
        assert f"http://127.0.0.1:{port}/readyz cannot be reached" in found
    assert health(tmp_path, "-m", "gapcast.health", GAPCAST_HTTP__HOST_FILE="nowhere").returncode == 1


@pytest.mark.parametrize("text", ["http = 5\n", "[http\n", '[http]\nport = "x"\n', "[http]\nport = []\n"])
def test_health_of_an_unusable_configuration_names_the_keys(tmp_path: Path, text: str) -> None:
    (tmp_path / "gapcast.toml").write_text(text, encoding="utf-8")
    done = health(tmp_path, "-m", "gapcast.health")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("http.host and http.port cannot be read from gapcast.toml or GAPCAST_HTTP__")


def test_health_rejects_other_arguments(tmp_path: Path) -> None:
    assert health(tmp_path, "-m", "gapcast.health", "--ready").returncode == 2


def test_health_imports_only_the_standard_library(tmp_path: Path) -> None:
    output = "import sys; there = set(sys.modules); import gapcast.health; print(*set(sys.modules) - there)"
    loaded = {name.split(".")[0] for name in health(tmp_path, "-c", output).stdout.split()}
    assert "http" in loaded
    assert loaded - sys.stdlib_module_names == {"gapcast"}
