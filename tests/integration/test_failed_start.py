"""A gateway that cannot start all of its threads."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event

import pytest

from gapcast.app.application import Application
from gapcast.app.engines.model_watcher import ModelWatcher
from gapcast.config.shards import readings_folder, settings_for_shard
from gapcast.core.errors import SettingsError, StateInUseError
from gapcast.storage.files import locks
from gapcast.storage.files.locks import ShardLock, lock_folder
from tests.support.gateways import gateway_settings
from tests.support.ports import LOOPBACK, free_port


def test_start_without_a_thread_for_the_models_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A remaining thread would keep the process alive, which would then serve REST but no readings."""

    def fails(_: ModelWatcher) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr(ModelWatcher, "start", fails)
    before = threading.enumerate()
    application = Application(gateway_settings(free_port(), tmp_path), {})
    with pytest.raises(RuntimeError, match="can't start new thread"):
        application.run(Event())
    assert [thread for thread in threading.enumerate() if thread not in before] == []


def test_start_with_the_state_of_another_process_does_not_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another port does not help: the second process would take over the first one's session."""
    monkeypatch.setattr(locks, "WAIT_S", 0.0)
    application = Application(gateway_settings(free_port(), tmp_path), {})
    (tmp_path / "stream").mkdir(exist_ok=True)
    lock = lock_folder(tmp_path / "stream")
    try:
        with pytest.raises(StateInUseError, match="another gapcast process uses"):
            application.run(Event())
    finally:
        os.close(lock)
        application.close()
    assert (StateInUseError.exit_code, application.service.queries.connected) == (4, False)
    assert not (tmp_path / "http-address").exists()


def test_start_with_state_and_port_of_another_process_names_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the exit code for a port in use, systemd does not start the service again."""
    monkeypatch.setattr(locks, "WAIT_S", 0.0)
    settings = gateway_settings(free_port(), tmp_path)
    (tmp_path / "stream").mkdir()
    with socket.create_server((LOOPBACK, settings.http.port)):
        lock = lock_folder(tmp_path / "stream")
        try:
            with closing(Application(settings, {})) as application, pytest.raises(StateInUseError):
                application.run(Event())
        finally:
            os.close(lock)
        with closing(Application(settings, {})) as application, pytest.raises(SettingsError, match="cannot listen on"):
            application.run(Event())
    os.close(lock_folder(tmp_path / "stream"))  # it was released


@pytest.mark.parametrize("has_shard", [False, True])
def test_stop_during_the_wait_for_the_state_ends_normally(tmp_path: Path, *, has_shard: bool) -> None:
    settings = gateway_settings(free_port(), tmp_path)
    if has_shard:
        settings = settings_for_shard(settings, 0)
    stopping = Event()
    stopping.set()
    with closing(Application(settings, {})) as application, ExitStack() as stack:
        folder = readings_folder(settings, tmp_path)
        folder.mkdir(parents=True)
        if has_shard:
            lock = ShardLock(folder.parent)
            lock.acquire(application.models.stamps)
            stack.callback(lock.release)
        else:
            stack.callback(os.close, lock_folder(folder))
        application.run(stopping)
