"""The composition root: the only place that connects adapters to the core."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import structlog

from gapcast.app.broker.broker import session_options
from gapcast.app.broker.link import connect_service, link_of
from gapcast.app.broker.sharing import wait_for_topic_affinity
from gapcast.app.engines.device_limit import limit_devices_here
from gapcast.app.engines.engine import engine_of
from gapcast.app.engines.model_watcher import ModelWatcher, SwapCallbacks
from gapcast.app.http_server import ListeningSocket, connection_limits_of, http_options
from gapcast.app.intake_log import IntakeLog
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import admission_of, library_of, load_usable_models
from gapcast.app.state_store import store_of
from gapcast.config.files.service_address import AddressFiles, runtime_folder
from gapcast.config.files.state_dir import state_path, tighten_modes
from gapcast.config.refit_choice import refits
from gapcast.config.settings import Settings
from gapcast.config.shards import readings_folder
from gapcast.core.errors import ShardError, StateInUseError
from gapcast.core.monitoring.online_tracker import OnlineTracker
from gapcast.core.monitoring.statistics import Statistics
from gapcast.http.entry import create_entry
from gapcast.http.server.server import HttpServerThread, build_server
from gapcast.mqtt.session.session import Session
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast.service.containment import Containment
from gapcast.service.reports.availability import ReportOptions
from gapcast.service.service import Service
from gapcast.storage.files.locks import ShardLock
from gapcast.storage.freed_memory import release_freed_memory
from gapcast.systemd.notify import Notifier

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from gapcast.refit.nights import NightlyRefits

log = structlog.get_logger(__name__)

#: New objects between two garbage collections. With Python's default of 700, the thousands of readings in flight would
#: be promoted to older generations, and full collections would often scan the devices of a whole city.
_GC_THRESHOLD = 20_000
#: How long another thread, for example the REST API's or a checkpoint's, may make the stream wait for the interpreter's
#: lock. The stream releases the lock with each system call and each run of a model, several times a reading, and would
#: wait up to 5 ms each time with Python's default.
_SWITCH_INTERVAL_S = 0.000_5
#: How long a stop waits for REST requests in progress before it persists the last state.
_HTTP_STOP_S = 3.0


class Application:
    """A gateway, assembled and ready: :meth:`run` serves until it is stopped."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], clock_s: Callable[[], float] = time.time
    ) -> None:
        """Load the models and prepare the link, without connecting yet.

        ``clock_s`` returns the current time, seconds since the epoch, which decides when nights begin.

        Raises :class:`SettingsError` or :class:`ModelError`.
        """
        library = library_of(settings, environment)
        stamp = library.stamp()  # before loading, so that a change during it is detected
        self.models = load_usable_models(settings, library, admission_of(settings, environment))
        is_refitted = refits(settings)
        settings = limit_devices_here(settings, self.models)
        self._settings, self._options = settings, session_options(settings, environment)
        self.session = Session(self._options)
        statistics = Statistics()
        self._link = link = link_of(settings, self.session, self.models, statistics)
        state = state_path(settings.state.path, environment)
        tighten_modes(state)
        folder = readings_folder(settings, state)
        self._shard_lock = None
        if settings.shards is not None:
            self._shard_lock = ShardLock(folder.parent, accepts_other_models=settings.state.accept_other_models)
        self._store = store_of(settings, self._options.gateway, state, folder)
        self._nights = self._refit_nights(folder, clock_s) if is_refitted else None
        stale_after_s = settings.devices.stale_after_min * 60
        self.service = Service(
            link,
            engine_of(settings, self.models, refits=is_refitted),
            self.models.by_name,
            statistics=statistics,
            reports=ReportOptions(
                OnlineTracker(stale_after_s) if stale_after_s else None, settings.learning.report_every_min * 60
            ),
            state_store=self._store,
            recorder=self._nights,
        )
        predict_handler = connect_service(link, settings, self.service, self.session)
        self._intake_log = IntakeLog(self.service.queries.intake, settings.site.zone)
        self._attempt = Containment(statistics).attempt
        self._model_watcher = ModelWatcher(
            settings,
            library,
            self.service,
            stamp,
            SwapCallbacks(lambda: self.models, self._record_models, self._use_models),
            refits=is_refitted,
        )
        options, connection_limits = http_options(settings.http), connection_limits_of(settings.http)
        self._notifier = Notifier.from_environment(environment)
        self._listening = ListeningSocket(settings.http)
        self._address_files = AddressFiles(state, runtime_folder(environment))
        entry = partial(
            create_entry,
            self.service,
            lambda: self.models.cards,
            lambda: self.registry,
            predict_handler,
            options,
            on_loaded=gc.freeze,  # many permanent objects, as after the start: see run
        )
        self._http_server = HttpServerThread(lambda: build_server(entry(), connection_limits), statistics)

    @cached_property
    def registry(self) -> CollectorRegistry:
        """The metrics, registered with the first scrape."""
        from gapcast.observability.metrics import ServiceInfo, build_registry  # noqa: PLC0415 - many are never scraped

        shards = self._settings.shards
        about = ServiceInfo(load_interpreter()[1], self.session.gateway, shards[0] if shards else None)
        return build_registry(self.service, about, self._settings.metrics.per_device)

    def _refit_nights(self, folder: Path, clock_s: Callable[[], float]) -> NightlyRefits:
        from gapcast.refit.nights import REFIT_FOLDER, NightlyRefits, NightOptions  # noqa: PLC0415 - few gateways refit

        learning, zone = self._settings.learning, self._settings.site.zone
        options = NightOptions(learning.refit_every_days, zone, self.session.gateway)
        return NightlyRefits(folder / REFIT_FOLDER, learning.refit_max_devices, options, clock_s)

    def _record_models(self, models: Models) -> None:
        """Record the models of a shard before they are used, so that the record is right after a crash at any point."""
        if self._shard_lock is not None:
            self._shard_lock.record_models(models.stamps)

    def _use_models(self, models: Models) -> None:
        """Switch the REST API and discovery to new models."""
        self.models = models
        if self._link.discovery is not None:
            self._link.discovery.republish()

    def reload(self) -> None:
        """Reload the models beside the stream (:meth:`.ModelWatcher.request_reload`)."""
        self._model_watcher.request_reload()

    @property
    def http_port(self) -> int:
        """The port of the REST API, bound by :meth:`run` or by the first read of this property."""
        return int(self._listening.bind().getsockname()[1])

    def run(self, stopping: Event) -> None:
        """Restore the state and serve until ``stopping`` is set: the stream in this thread, REST in another.

        Raises :class:`ShardError` or :class:`StateInUseError` if another process uses this shard or this state, and
        :class:`SettingsError` if the port cannot be bound.
        """
        try:
            if self._shard_lock is not None:
                self._shard_lock.acquire(self.models.stamps, stopping=stopping)
            owns_state = self._restore_state(stopping)
        except (ShardError, StateInUseError):
            if stopping.is_set():  # stopped while waiting for the other process
                return
            raise
        with ExitStack() as stack:  # stops what was started if a later start fails
            stack.callback(self.close)
            self._http_server.start(self._listening.bind())
            stack.callback(self._stop_http)
            self._address_files.write(self._listening.url, owns_state=owns_state)
            stack.callback(self._address_files.remove)
            self._model_watcher.start()
            stack.callback(self._model_watcher.stop)
            if self._nights is not None:
                self._nights.start(self.service)
                stack.callback(self._nights.stop)
            log.info("http.listening", host=self._listening.bind().getsockname()[0], port=self.http_port)
            release_freed_memory()  # of the stored state and of the model files
            gc.freeze()  # objects from start-up are permanent: exclude them from collections
            gc.enable()  # off during the start
            gc.set_threshold(_GC_THRESHOLD)
            sys.setswitchinterval(_SWITCH_INTERVAL_S)
            self._notifier.ready(self.service.queries.status_line())
            stack.callback(self._notifier.stopping)
            self._attempt("stream", self._intake_log.update)  # before new forecasts: these are restored
            on_iteration = partial(self._on_iteration, stopping)
            wait_for_topic_affinity(self._settings, self._options, stopping, on_iteration)
            # Also after an early stop. REST ends before the last state is persisted: its changes must survive.
            self.service.run(stopping, on_iteration, partial(self._stop_http, _HTTP_STOP_S))

    def _restore_state(self, stopping: Event) -> bool:
        """Restore the state; return False if the folder is known to be in use by another process."""
        # Only the service may hold the engine afterwards: its memory is freed once it is replaced.
        engine = self.service.queries.read(lambda engine, _: engine)
        if self._store is None:
            return True
        nights, locked = self._nights, Event()
        if nights is not None:
            nights.archive.is_enabled = False  # until no other process is known to use the folder

        def on_locked() -> None:
            locked.set()
            self._listening.bind()  # not earlier; connections wait until the state is restored
            if nights is not None:
                nights.restore(engine)

        self._store.restore(engine, self._link.meters, on_locked, stopping)
        return locked.is_set()

    def _stop_http(self, timeout_s: float | None = None) -> None:
        """End the REST API within ``timeout_s`` (None: wait until its requests end). Idempotent."""
        if self._http_server.is_alive:
            if not self.service.feed.closed:
                self.service.feed.close()
            self._http_server.stop(timeout_s)

    def _on_iteration(self, stopping: Event) -> None:
        """Notify the watchdog that the stream runs, unless the HTTP thread has died and a restart is needed."""
        if not self._intake_log.is_done:
            self._attempt("stream", self._intake_log.update)
        if stopping.is_set():
            self._notifier.stopping()
        elif self._notifier.is_due and self._http_server.is_alive:
            self._notifier.alive(self.service.queries.status_line)

    def close(self) -> None:
        """Release the port, the state and the models' memory, as :meth:`run` does when it ends. Idempotent."""
        self._listening.close()
        if self._store is not None:
            self._store.close(None)  # the service has closed it, unless the start failed
        if self._shard_lock is not None:
            self._shard_lock.release()
        for model in self.models.by_name.values():
            model.release_interpreters()
