"""New models while the service runs: seen, loaded and self-tested beside the stream, then put in place between batches.

What is no good is refused with its reason, and the models in use go on; it is tried again when the files change again,
or when someone asks.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from threading import Event, Thread
from typing import NamedTuple

import structlog

from gapcast.app.models import Models, admission_of, engine_of, load_models
from gapcast.config.settings import Settings
from gapcast.core.errors import GapcastError
from gapcast.core.state_transfer import reserve_rows
from gapcast.predictors.library import Library, Stamp
from gapcast.predictors.tflite import TflitePredictor
from gapcast.service.internal_errors import record_internal_error
from gapcast.service.service import Service

log = structlog.get_logger(__name__)

#: How often the folders are looked at. Files that change between two looks are still being written.
LOOK_S = 1.0
_CURE = "correct the model or remove it; the models in use stay in use"


class SwapCallbacks(NamedTuple):
    """Who is told of new models, in :class:`Reloading`'s thread."""

    #: The models in use, by name.
    loaded: Callable[[], Mapping[str, TflitePredictor]]
    #: They are good, and are about to speak. What is raised here refuses them.
    before: Callable[[Models], None]
    #: They speak.
    after: Callable[[Models], None]


class ModelWatcher:
    """Watches the models of a running service, in a thread of its own."""

    def __init__(
        self,
        settings: Settings,
        library: Library,
        service: Service,
        stamp: Stamp,
        in_place: SwapCallbacks,
    ) -> None:
        """Watch ``library``, whose files were as ``stamp`` says when ``service`` was given its models."""
        self._settings = settings
        self._library = library
        self._service = service
        self._in_place = in_place
        self._judged: Stamp | None = stamp  # what was last taken or refused
        self._seen = stamp
        self._asked = False
        self._stopping = Event()
        self._thread = Thread(target=self._watch, name="models")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; wait for a load that is under way."""
        self._stopping.set()
        self._thread.join()

    def ask(self) -> None:
        """Let the models be loaded again, changed or not. It only sets a mark, as a signal's handler must."""
        self._asked = True

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception as error:  # as where no file can be opened: this thread is there for the next look
                record_internal_error(self._service.statistics, "models", error, str(self._library))

    def look(self) -> None:
        """Look at the files; where they have changed and are whole, try them."""
        if self._asked:
            self._asked, self._judged = False, None
        seen, self._seen = self._seen, self._library.stamp()
        if self._seen == seen != self._judged:
            self._try(seen)

    def _try(self, stamp: Stamp) -> None:
        try:
            self._change()
        except GapcastError as error:
            self._refuse(stamp, str(error))
        except Exception as error:  # whatever a file does to the runtime, this thread is there for the next one
            record_internal_error(self._service.statistics, "models", error, str(self._library))
            self._refuse(stamp, f"{type(error).__name__}: {error}")
        else:
            self._judged = stamp
        _return_freed_memory()

    def _change(self) -> None:
        admission = admission_of(self._settings, os.environ, self._stopping.is_set, self._in_place.loaded())
        models = load_models(self._settings, self._library, admission)
        self._warm_up(models)
        self._in_place.before(models)
        pause_s = self._swap_engine(models)
        if pause_s is None:
            return
        self._in_place.after(models)
        for model in models.by_name.values():
            if model not in models.active:
                model.release_interpreters()
        self._service.statistics.model_reloads["swapped"] += 1
        versions = {card.name: card.version for card in models.cards}
        log.info("models.swapped", model=models.primary.name, models=versions, pause_ms=round(pause_s * 1e3, 3))

    def _refuse(self, stamp: Stamp, problem: str) -> None:
        if self._stopping.is_set():
            return  # the trial was cancelled, and says nothing of the model
        if self._library.stamp() != stamp:
            return  # no wonder: it is being written to again, and is looked at when that is done
        self._judged = stamp
        self._service.statistics.model_reloads["refused"] += 1
        log.error("models.refused", path=str(self._library), problem=problem, cure=_CURE)

    def _warm_up(self, models: Models) -> None:
        """Make the interpreters that the stream will ask for: for as many windows as those in use were asked for."""
        in_use = self._service.models.values()
        sizes = sorted({size for model in in_use for size in getattr(model, "sizes", ())})
        for model in models.active:
            model.warm_up(sizes)

    def _swap_engine(self, models: Models) -> float | None:
        """Have the stream go on with ``models``; return how long it stood still, s, None where it ends before."""
        engine = engine_of(self._settings, models)
        reserve_rows(engine, self._service.n_devices)
        taken: Future[float] = self._service.swap_engine(engine, models.by_name)
        while not self._stopping.is_set():
            if wait([taken], LOOK_S).done:
                return taken.result()
        return None


def _return_freed_memory() -> None:
    """Return to the system the memory of the models that are gone, which glibc would keep for the next ones: 20 MB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
