"""Hot reload: detects new models, loads and self-tests them beside the stream, and swaps them in between batches.

The bundled models are not watched: they change with the program only, which restarts then.

Invalid models are refused with a reason, and the current models stay active; loading is tried again when the files
change or a reload is requested.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Event, Thread
from typing import NamedTuple

import structlog

from gapcast.app.engines.engine import engine_of, warm_up_like
from gapcast.app.models.installed_models import InstalledModelError
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import admission_of, load_models
from gapcast.app.models.primary_model import SETTING
from gapcast.config.settings import Settings
from gapcast.core.errors import GapcastError, ModelChoiceError, UnknownModelError
from gapcast.core.snapshots.state_transfer import reserve_rows
from gapcast.predictors.models_folder.library import Library, Stamp
from gapcast.service.containment import record_internal_error
from gapcast.service.service import Service
from gapcast.storage.freed_memory import release_freed_memory

log = structlog.get_logger(__name__)

#: How often the folders are checked. Files that change between two checks are still being written.
CHECK_INTERVAL_S = 1.0
_FIX, _MEANWHILE = "fix or remove the model", "the current models stay active"
#: If the configuration needs another model than those that are installed.
_FIX_OF_CHOICE = "install a model that suits the configuration, or change the configuration and restart gapcast"


class SwapCallbacks(NamedTuple):
    """Callbacks of a swap, called in the thread of :class:`ModelWatcher`."""

    #: Returns the models in use.
    in_use: Callable[[], Models]
    #: Called with valid models before they are used, and with the current ones if the swap fails. An exception refuses
    #: them.
    before: Callable[[Models], None]
    #: Called once the new models are in use.
    after: Callable[[Models], None]


class ModelWatcher:
    """Watches the models of a running service, in a thread of its own."""

    def __init__(
        self,
        settings: Settings,
        library: Library,
        service: Service,
        stamp: Stamp,
        callbacks: SwapCallbacks,
        *,
        refits: bool = False,
    ) -> None:
        """Watch ``library``; ``stamp`` is the state of its files when the models of ``service`` were loaded.

        ``refits``: the ensemble has a member ``refit``.
        """
        self._settings = settings
        self._library = library
        self._service = service
        self._callbacks = callbacks
        self._refits = refits
        self._handled: Stamp | None = stamp  # the last file state that was loaded or refused
        self._last_stamp = stamp
        self._reload_requested = False
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="models")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; wait for a load in progress."""
        self._stopping.set()
        self._thread.join()

    def request_reload(self) -> None:
        """Request a reload of the models, changed or not. Only sets a flag, so a signal handler may call it."""
        self._reload_requested = True

    def _watch(self) -> None:
        while not self._stopping.wait(CHECK_INTERVAL_S):
            try:
                self.check_files()
            except BaseException as error:  # no free file descriptor, for example: continue with the next check
                record_internal_error(self._service.statistics, "models", error, str(self._library))

    def check_files(self) -> None:
        """Check the files; load the models if their files have changed and are complete."""
        if self._reload_requested:
            self._reload_requested, self._handled = False, None
        before, self._last_stamp = self._last_stamp, self._library.stamp()
        if self._last_stamp == before != self._handled:
            self._try_reload(before)

    def _try_reload(self, stamp: Stamp) -> None:
        try:
            self._reload()
        except InstalledModelError as error:
            self._refuse(stamp, str(error), error.describe_fix(_FIX, _MEANWHILE))
        except (ModelChoiceError, UnknownModelError) as error:
            self._refuse(stamp, str(error), f"{_FIX_OF_CHOICE}; {_MEANWHILE}")
        except GapcastError as error:
            self._refuse(stamp, str(error))
        except BaseException as error:  # a file may cause any error in a library: the thread must survive it
            record_internal_error(self._service.statistics, "models", error, str(self._library))
            self._refuse(stamp, f"{type(error).__name__}: {error}")
        else:
            self._handled = stamp
        release_freed_memory()  # of the previous models

    def _reload(self) -> None:
        admission = admission_of(self._settings, os.environ, self._stopping.is_set, self._callbacks.in_use().by_name)
        models = load_models(self._settings, self._library, admission)
        warm_up_like(models, self._service.queries.models.values())
        self._callbacks.before(models)
        try:
            pause_s = self._swap_engine(models)
        except BaseException:
            try:
                self._callbacks.before(self._callbacks.in_use())
            except GapcastError as error:  # raises the reason why the models are refused
                record_internal_error(self._service.statistics, "models", error, str(self._library))
            raise
        if pause_s is None:
            return
        self._report_horizon(self._callbacks.in_use().main_horizon_min, models.main_horizon_min)
        self._callbacks.after(models)
        for model in models.by_name.values():
            if model not in models.active:
                model.unload()
        versions = {card.name: card.version for card in models.cards}
        log.info("models.swapped", model=models.primary.name, models=versions, pause_ms=round(pause_s * 1e3, 3))
        self._service.statistics.model_reloads["swapped"] += 1  # last: a counted swap is complete

    def _report_horizon(self, before_min: int, now_min: int) -> None:
        if before_min != now_min:
            log.warning(
                "state.learning_not_restored",
                path=str(self._library),
                problem=f"forecasts are {now_min} instead of {before_min} min ahead",
                fix=f"online learning and scores start again for each device; {SETTING} sets the horizon",
            )

    def _refuse(self, stamp: Stamp, problem: str, fix: str = f"{_FIX}; {_MEANWHILE}") -> None:
        if self._stopping.is_set():
            return  # the trial was cancelled and has no result
        if self._library.stamp() != stamp:
            return  # the files are being written again: check them once they are complete
        self._handled = stamp
        log.error("models.refused", path=str(self._library), problem=problem, fix=fix)
        self._service.statistics.model_reloads["refused"] += 1

    def _swap_engine(self, models: Models) -> float | None:
        """Switch the stream to ``models``; return the stream's pause, s, or None if the service stops first."""
        engine = engine_of(self._settings, models, refits=self._refits)
        reserve_rows(engine, self._service.queries.n_devices)
        taken: Future[float] = self._service.swap_engine(engine, models.by_name)
        while not self._stopping.is_set():
            if wait([taken], CHECK_INTERVAL_S).done:
                return taken.result()
        return None
