"""``gapcast status`` finds the running service without its configuration file."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from structlog.testing import capture_logs

from gapcast.app.application import Application
from gapcast.config.files.service_address import ADDRESS_FILE, AddressFiles, read_address
from gapcast.config.loader import load
from gapcast.core.errors import SettingsError, StateInUseError, StatusError
from gapcast.status import service_search
from gapcast.status.rest_client import RestClient
from gapcast.status.service_search import find_service
from gapcast.storage.files import locks
from tests.http.conftest import Rest, serving
from tests.support.disks import no_room_beyond
from tests.support.gateways import gateway_settings, running
from tests.support.models import shipped_models
from tests.support.ports import free_port
from tests.support.waiting import GUARD_S, wait_until


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The state folder of this account, and systemd's; the working folder has no configuration."""
    state, system = tmp_path / "state" / "gapcast", tmp_path / "run"
    for folder in (state, system):
        folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(service_search, "SYSTEMD_FOLDERS", (system,))
    monkeypatch.chdir(tmp_path)
    return state, system


@pytest.fixture(scope="module")
def service() -> Iterator[Rest]:
    from gapcast.app.models.loaded_models import Models
    from gapcast.http.options import HttpOptions
    from gapcast.predictors.models_folder.store import load_model

    model = load_model(shipped_models() / "linear")
    with serving(Models({"linear": model}, model), HttpOptions()) as rest:
        yield rest


def found(environment: dict[str, str] | None = None, *, is_explicit: bool = False) -> str:
    return found_with_token(environment, is_explicit=is_explicit)[0]


def found_with_token(environment: dict[str, str] | None = None, *, is_explicit: bool = False) -> tuple[str, str | None]:
    """The address that is found, and the token that is sent there."""
    environment = {"XDG_STATE_HOME": str(Path("state").absolute()), **(environment or {})}
    tokens: dict[str, str | None] = {}

    def client(url: str, token: str | None) -> RestClient:
        tokens[url] = token
        return RestClient(url, token, timeout_s=GUARD_S)

    rest = find_service(lambda: load(None, environment, {}), environment, client, is_explicit=is_explicit)
    return rest.url, tokens[rest.url]


def url_of(service: Rest) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.mark.parametrize("which", ["state", "runtime"])
def test_status_finds_the_service_by_its_address_file(folders: tuple[Path, Path], service: Rest, which: str) -> None:
    state, runtime = folders if which == "state" else (folders[0] / "of-another-account", folders[1])
    files = AddressFiles(state, runtime if which == "runtime" else None)
    files.write(url_of(service))
    assert found() == url_of(service)
    files.remove()
    assert [*state.glob("*"), *runtime.glob("*")] == []


def test_status_prefers_the_configuration_here(folders: tuple[Path, Path], service: Rest) -> None:
    (folders[0] / ADDRESS_FILE).write_text("http://127.0.0.1:1\n", encoding="utf-8")
    Path("gapcast.toml").write_text(f"[http]\nport = {service.port}\n", encoding="utf-8")
    assert found() == url_of(service)
    Path("gapcast.toml").unlink()
    assert found({"GAPCAST_HTTP__PORT": str(service.port)}) == url_of(service)


def test_status_sends_the_configured_token_to_the_configured_address(
    folders: tuple[Path, Path], service: Rest, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("a long token\n", encoding="utf-8")
    secret.chmod(0o600)
    Path("gapcast.toml").write_text(f'[http]\nport = {service.port}\ntoken_file = "{secret}"\n', encoding="utf-8")
    assert found_with_token() == found_with_token(is_explicit=True) == (url_of(service), "a long token")
    (folders[0] / ADDRESS_FILE).write_text(f"{url_of(service)}\n", encoding="utf-8")
    Path("gapcast.toml").write_text('[http]\nport = 1\ntoken = "a long token"\n', encoding="utf-8")
    assert found_with_token() == (url_of(service), None), "it is another service's"


def test_status_skips_an_unreadable_configuration_and_a_stale_address(
    folders: tuple[Path, Path], service: Rest
) -> None:
    state, system = folders
    Path("gapcast.toml").mkdir()
    (state / ADDRESS_FILE).write_text("http://127.0.0.1:1\n", encoding="utf-8")
    (system / ADDRESS_FILE).write_text(f"{url_of(service)}\n", encoding="utf-8")
    assert found() == url_of(service)


def test_status_without_a_service_names_what_was_tried(folders: tuple[Path, Path]) -> None:
    state, system = folders
    (state / ADDRESS_FILE).mkdir()  # as unreadable as a folder of another account
    with pytest.raises(StatusError) as raised:
        found({"GAPCAST_HTTP__PORT": "1"})
    text = str(raised.value)
    assert text.startswith("found no running gapcast. Tried http://127.0.0.1:1 (http.host and http.port of the configu")
    assert "Connection refused" in text
    assert f"{state / ADDRESS_FILE}: Is a directory" in text
    assert f"{system / ADDRESS_FILE}: No such file or directory" in text
    assert text.endswith("--url selects its address")


def test_status_explicit_configuration_is_the_only_one_tried(folders: tuple[Path, Path], service: Rest) -> None:
    (folders[0] / ADDRESS_FILE).write_text(f"{url_of(service)}\n", encoding="utf-8")
    with pytest.raises(StatusError, match=r"http://127\.0\.0\.1:1 "):
        found({"GAPCAST_HTTP__PORT": "1"}, is_explicit=True)
    Path("gapcast.toml").write_text("[http]\nprot = 1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"http\.prot: there is no such key"):
        found(is_explicit=True)
    assert found() == url_of(service)


def test_address_file_modes_follow_the_folder(tmp_path: Path) -> None:
    state, runtime = tmp_path / "state", tmp_path / "runtime"
    for folder in (state, runtime):
        folder.mkdir()
    AddressFiles(state, runtime).write("http://127.0.0.1:8080")
    modes = [stat.S_IMODE((folder / ADDRESS_FILE).stat().st_mode) for folder in (state, runtime)]
    assert modes == [0o600, 0o644]


def test_address_file_of_a_later_service_stays(tmp_path: Path) -> None:
    first, second = AddressFiles(tmp_path, None), AddressFiles(tmp_path, None)
    first.write("http://127.0.0.1:8080")
    second.write("http://127.0.0.1:8081")
    first.remove()
    assert read_address(tmp_path / ADDRESS_FILE) == "http://127.0.0.1:8081"


@pytest.mark.parametrize("content", [b"", b"\xff", b"ftp://host\n", b"x" * 10_000])
def test_address_file_with_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ADDRESS_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"not an address|ascii"):
        read_address(tmp_path / ADDRESS_FILE)


def test_second_service_of_a_state_folder_leaves_the_address_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT_S", 0.0)
    broker_port = free_port()
    with running(gateway_settings(broker_port, tmp_path), connected=False) as first:
        wait_until((tmp_path / ADDRESS_FILE).exists, "the address file")
        second = Application(gateway_settings(broker_port, tmp_path), {})
        with closing(second), pytest.raises(StateInUseError):
            second.run(Event())
        assert read_address(tmp_path / ADDRESS_FILE) == first.url


def test_address_file_that_does_not_fit_on_the_disk_leaves_none(tmp_path: Path) -> None:
    with no_room_beyond(0), capture_logs() as logs:
        AddressFiles(tmp_path, None).write("http://127.0.0.1:8080")
    assert [entry["event"] for entry in logs] == ["http.address_not_written"]
    assert list(tmp_path.iterdir()) == []
