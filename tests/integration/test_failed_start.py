"""A gateway that cannot start all of its threads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from threading import Event

import pytest

from gapcast.app.application import Application
from gapcast.app.engines.model_watcher import ModelWatcher
from gapcast.commands.exit_codes import exit_code_of
from gapcast.core.errors import StateInUseError
from gapcast.storage import store
from gapcast.storage.files.locks import lock_folder
from tests.support.gateways import gateway_settings
from tests.support.ports import free_port


def test_start_without_a_thread_for_the_models_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that goes on would keep the process alive, which then serves REST and no reading."""

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
    """Another port does not help: the second would take over the first one's session."""
    monkeypatch.setattr(store, "WAIT_S", 0.0)
    application = Application(gateway_settings(free_port(), tmp_path), {})
    (tmp_path / "stream").mkdir(exist_ok=True)
    lock = lock_folder(tmp_path / "stream")
    try:
        with pytest.raises(StateInUseError, match="another gapcast process uses"):
            application.run(Event())
    finally:
        os.close(lock)
        application.close()
    assert (exit_code_of(StateInUseError()), application.service.queries.connected) == (4, False)
    assert not (tmp_path / "http-address").exists()
