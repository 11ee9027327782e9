"""When changed models are loaded and refused ones tried again; tests/integration/test_model_reload.py swaps them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gapcast.app.engines import model_watcher
from gapcast.app.engines.model_watcher import ModelWatcher, SwapCallbacks
from gapcast.app.models.installed_models import InstalledModelError
from gapcast.app.models.loaded_models import Models
from gapcast.config.settings import Settings
from gapcast.core.errors import ModelChoiceError, ModelError, UnknownModelError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.predictors.models_folder.library import Library, Stamp
from gapcast.service.service import Service


class Watched:
    """A watcher whose library has the state ``files``, and that refuses each state, as ``error`` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files, self.statistics = "first", Statistics()
        self.error: BaseException = ModelError("no model")
        self.tried: list[str] = []
        self.files_after_load = ""
        library = SimpleNamespace(stamp=lambda: self.files)
        service, in_use = SimpleNamespace(statistics=self.statistics), SimpleNamespace(by_name={})
        callbacks = SwapCallbacks(lambda: cast("Models", in_use), lambda _: None, lambda _: None)
        self.watcher = ModelWatcher(
            Settings(), cast("Library", library), cast("Service", service), cast("Stamp", "first"), callbacks
        )
        monkeypatch.setattr(model_watcher, "load_models", self._load)
        monkeypatch.setattr(model_watcher, "admission_of", lambda *_: None)

    def _load(self, *_: Any) -> None:
        self.tried.append(self.files)
        self.files = self.files_after_load or self.files
        raise self.error

    def check(self, *files: str) -> int:
        """Check the library in each of these states, one after the other; return how often models were refused."""
        with capture_logs() as self.logs:
            for state in files:
                self.files = state
                self.watcher.check_files()
        return self.statistics.model_reloads["refused"]


def test_changed_models_are_tried_once_they_no_longer_change(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    assert watched.check("first", "first", "writing", "written") == 0
    assert watched.check("written", "written", "written") == 1
    assert watched.tried == ["written"]
    watched.watcher.request_reload()
    assert watched.check("written", "written") == 2
    assert watched.check("first", "first") == 3, "they may have been of use for another configuration"


def test_models_that_change_while_they_are_tried_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.files_after_load = "complete"
    assert watched.check("half", "half") == 0
    assert watched.check("complete", "complete") == 1
    assert watched.tried == ["half", "complete"]


@pytest.mark.parametrize("error", [MemoryError(), SystemExit(1)])
def test_models_that_raise_are_refused_and_the_error_is_recorded(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    watched = Watched(monkeypatch)
    watched.error = error
    assert watched.check("large", "large", "large") == 1
    assert watched.statistics.internal_errors["models"] == 1


@pytest.mark.parametrize(
    ("fix", "logged"),
    [
        ("correct the mode of this folder", "correct the mode of this folder; "),
        (None, "fix or remove the model; "),
        ("", ""),
    ],
)
def test_refused_models_are_logged_with_the_fix_of_the_error(
    fix: str | None, logged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    watched.error = InstalledModelError("models: cannot be read", Path("models"), fix)
    watched.check("closed", "closed")
    assert [line["fix"] for line in watched.logs] == [f"{logged}the current models stay active"]


@pytest.mark.parametrize("error", [UnknownModelError, ModelChoiceError])
def test_models_that_do_not_suit_the_configuration_are_not_to_be_removed(
    error: type[ModelError], monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    watched.error = error("outlook.model: there is no model 'outlook'")
    watched.check("removed", "removed")
    fix = "install a model that suits the configuration, or change the configuration and restart gapcast"
    assert [line["fix"] for line in watched.logs] == [f"{fix}; the current models stay active"]


def test_models_of_a_trial_that_the_stop_cancelled_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    watched.watcher.start()
    watched.watcher.stop()
    assert watched.check("changed", "changed") == 0
    assert watched.tried == ["changed"]
