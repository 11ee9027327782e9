"""A gateway that cannot start all of its threads."""

from __future__ import annotations

import threading
from pathlib import Path
from threading import Event

import pytest

from gapcast.app.application import Application
from gapcast.app.engines.model_watcher import ModelWatcher
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
