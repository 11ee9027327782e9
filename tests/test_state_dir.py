"""The state folder and the gateway's id."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gapcast.config.files.state_dir import gateway_id, state_path
from gapcast.core.errors import SettingsError
from gapcast.core.readings.reading import is_device_id
from tests.support.disks import no_room_beyond, open_folder, unprivileged


def test_gateway_id_is_created_once(tmp_path: Path) -> None:
    made = gateway_id("", tmp_path / "state")
    assert is_device_id(made)
    assert gateway_id("", tmp_path / "state") == made
    assert gateway_id("", tmp_path / "other") != made


def test_gateway_id_is_synced_before_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system may write a rename before the content: a power failure then leaves an empty file."""
    synced: list[tuple[bytes, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.pread(descriptor, 100, 0), (tmp_path / "gateway-id").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    made = gateway_id("", tmp_path)
    assert synced == [(f"{made}\n".encode(), False)]


@pytest.mark.root
def test_gateway_id_generated_by_root_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    """As after ``sudo gapcast check`` before the first start of a service with a separate account."""
    os.chown(tmp_path, 12_345, 12_345)
    gateway_id("", tmp_path)
    assert (tmp_path / "gateway-id").stat().st_uid == 12_345


def test_gateway_id_file_empty_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "gateway-id").touch()
    made = gateway_id("", tmp_path)
    assert (tmp_path / "gateway-id").read_text(encoding="utf-8") == f"{made}\n"


def test_gateway_id_configured_is_not_written(tmp_path: Path) -> None:
    assert gateway_id("mine", tmp_path / "state") == "mine"
    assert not (tmp_path / "state").exists()


def test_gateway_id_without_a_folder_is_temporary(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"state\.path: .*state is not a folder: name another one"):
        gateway_id("", tmp_path / "state")
    assert is_device_id(gateway_id("", Path("/proc/nowhere")))


@pytest.mark.parametrize("closed", ["state", "state/gateway-id"])
def test_gateway_id_that_this_account_may_not_read_is_temporary(closed: str) -> None:
    with open_folder() as folder:
        state = folder / "state"
        state.mkdir()
        state.chmod(0o777)
        (state / "gateway-id").write_text("gw-stored\n", encoding="utf-8")
        (folder / closed).chmod(0)
        with unprivileged(), capture_logs() as logs:
            assert gateway_id("", state) != gateway_id("", state)
        assert [entry["event"] for entry in logs] == ["state.not_persisted"] * 2
        assert "grant this account" in logs[0]["fix"]
        state.chmod(0o700)
        assert (state / "gateway-id").read_text(encoding="utf-8") == "gw-stored\n"


def test_gateway_id_on_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    with no_room_beyond(0), capture_logs() as logs:
        assert is_device_id(gateway_id("", tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert [entry["problem"] for entry in logs] == ["File too large"]


def test_gateway_id_file_invalid_is_named(tmp_path: Path) -> None:
    (tmp_path / "gateway-id").write_text("not an id\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"gateway-id: holds 'not an id'.*remove the file"):
        gateway_id("", tmp_path)


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"STATE_DIRECTORY": "/var/lib/gapcast:/other"}, "/var/lib/gapcast"),
        ({"XDG_STATE_HOME": "/x"}, "/x/gapcast"),
    ],
)
def test_state_path_by_environment(environment: dict[str, str], path: str) -> None:
    assert state_path(None, environment) == Path(path)
    assert state_path(Path("/mine"), environment) == Path("/mine")
    assert state_path(None, {}) == Path.home() / ".local/state/gapcast"


def test_state_path_unknown_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        msg = "Could not determine home directory."
        raise RuntimeError(msg)

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(SettingsError, match=r"state\.path: must be set"):
        state_path(None, {})
