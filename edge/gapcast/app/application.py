"""The composition root: the only place that connects adapters to the core."""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import structlog

from gapcast.api.predict_answer import PredictHandler
from gapcast.app.broker import (
    described_subscriptions,
    session_options,
    sources_of,
    submeters_of,
    wait_for_topic_affinity,
)
from gapcast.app.demand import connect_demand, demand_check_of, demand_topics_of
from gapcast.app.device_limit import limit_devices_here
from gapcast.app.intake_log import IntakeLog
from gapcast.app.model_watcher import ModelWatcher, SwapCallbacks
from gapcast.app.models import Models, admission_of, engine_of, library_of, load_usable_models
from gapcast.config.http import HttpSettings
from gapcast.config.mqtt import TopicSettings
from gapcast.config.refit_choice import refits
from gapcast.config.service_address import AddressFiles, local_url, runtime_folder
from gapcast.config.settings import Settings
from gapcast.config.shards import folder_of
from gapcast.config.state_dir import state_path
from gapcast.core.errors import SettingsError
from gapcast.core.features import measured_in
from gapcast.core.presence import Presence
from gapcast.core.reading import Limits
from gapcast.core.statistics import Statistics
from gapcast.http.connection_limits import ConnectionLimits, default_max_connections
from gapcast.http.entry import create_entry
from gapcast.http.host_check import own_host_names
from gapcast.http.options import HttpOptions
from gapcast.http.server import HttpServerThread, build_server
from gapcast.mqtt.discovery import Discovery, HomeAssistantTopics
from gapcast.mqtt.link import MqttLink
from gapcast.mqtt.message_reader import IntakeOptions
from gapcast.mqtt.request_topics import PredictRequests
from gapcast.mqtt.session import Session
from gapcast.mqtt.sources import SourceReader
from gapcast.mqtt.submeters import SubmeterReader
from gapcast.mqtt.topics import DeviceTopic, Topics, answer_prefix, gateway_topic
from gapcast.predictors.runtime import load_interpreter
from gapcast.private_files import tighten_state
from gapcast.service.availability import ReportOptions
from gapcast.service.containment import Containment
from gapcast.service.service import Service
from gapcast.storage.freed_memory import release_freed_memory
from gapcast.storage.shard_lock import ShardLock
from gapcast.storage.store import Store
from gapcast.systemd.notify import Notifier

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from gapcast.refit.nights import RefitNights

log = structlog.get_logger(__name__)

#: New objects between two garbage collections. With Python's default of 700, the thousands of readings in flight would
#: be promoted to older generations, and full collections would often scan the devices of a whole city.
_GC_THRESHOLD = 20_000
#: How long another thread, such as that of the REST API or of a checkpoint, may make the stream wait for the
#: interpreter's lock. The stream releases it with each system call and each run of a model, several times a reading,
#: and would wait up to 5 ms each time with Python's default.
_SWITCH_INTERVAL_S = 0.000_5


class Application:
    """A gateway, assembled and ready: :meth:`run` serves until it is stopped."""

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], clock_s: Callable[[], float] = time.time
    ) -> None:
        """Load the models, prepare the link and bind the port, without connecting yet.

        ``clock_s`` returns the time by which nights begin, seconds since the epoch.

        Raises :class:`SettingsError` or :class:`ModelError`.
        """
        library = library_of(settings, environment)
        stamp = library.stamp()  # before loading, so that a change during it is detected
        self.models = load_usable_models(settings, library, admission_of(settings, environment))
        is_refitted = refits(settings)
        settings = limit_devices_here(settings, self.models)
        self._settings, self._options = settings, session_options(settings, environment)
        self.session = Session(self._options)
        limits = Limits(settings.limits.min_kw, settings.limits.max_kw)
        extras = measured_in(self.models.primary.features)[1:]
        statistics = Statistics()
        sources = sources_of(settings)
        self._link = link = MqttLink(
            self.session,
            Topics(
                DeviceTopic.parse("topics.reading", settings.topics.reading),
                DeviceTopic.parse("topics.forecast", settings.topics.forecast),
                gateway_topic("topics.rejected", settings.topics.rejected, self.session.gateway),
                DeviceTopic.parse("topics.availability", settings.topics.availability),
                DeviceTopic.parse("topics.scores", settings.topics.scores),
                gateway_topic("topics.events", settings.topics.events, self.session.gateway),
                DeviceTopic.parse("topics.plan", settings.topics.plan),
                DeviceTopic.parse("topics.outlook", settings.topics.outlook),
                demand_topics_of(settings),
            ),
            limits,
            retain_forecasts=settings.mqtt.retain_forecasts,
            extras=extras,
            intake=IntakeOptions(
                SourceReader(sources, limits, extras, settings.devices.max, statistics) if sources else None,
                SubmeterReader(submeters_of(settings), limits) if settings.submeters else None,
                statistics,
                settings.mqtt.rejections_per_s,
                described_subscriptions(settings),
            ),
        )
        self._engine = engine_of(settings, self.models, refits=is_refitted)
        state = state_path(settings.state.path, environment)
        if unchanged := tighten_state(state):
            log.warning(
                "state.readable_by_others",
                paths=[str(path) for path in unchanged[:5]],
                cure="run chmod -R go= on them as their owner",
            )
        folder = folder_of(settings, state)
        self._shard_lock = None
        if settings.shards is not None:
            self._shard_lock = ShardLock(folder.parent, accepts_other_models=settings.state.accept_other_models)
        self._store = Store(folder, of_shard=self._shard_lock is not None) if settings.state.keep else None
        self._nights = self._refit_nights(folder, clock_s) if is_refitted else None
        stale_after_s = settings.devices.stale_after_min * 60
        self.service = Service(
            link,
            self._engine,
            self.models.by_name,
            statistics=statistics,
            reports=ReportOptions(
                Presence(stale_after_s) if stale_after_s else None, settings.learning.report_every_min * 60
            ),
            state_store=self._store,
            recorder=self._nights,
        )
        link.listen_for_plans(self.service.replace_plan)
        if settings.demand.is_limited:
            connect_demand(link, settings, self.service, self.session)
        self._intake_log = IntakeLog(self.service.queries.intake, settings.site.zone)
        self._attempt = Containment(statistics).attempt
        max_body_bytes, max_readings = settings.http.max_body_bytes, settings.http.max_readings
        predict_handler = PredictHandler(
            self.service.queries, limits, max_body_bytes=max_body_bytes, max_readings=max_readings
        )
        self._answer_over_mqtt(link, predict_handler, settings.topics)
        if settings.homeassistant.enabled:
            self._publish_discovery(link, settings)
        self._model_watcher = ModelWatcher(
            settings,
            library,
            self.service,
            stamp,
            SwapCallbacks(lambda: self.models.by_name, self._prepare_models, self._use_models),
            refits=is_refitted,
        )
        options, connection_limits = http_options(settings.http), connection_limits_of(settings.http)
        self._notifier = Notifier.of(environment)
        self._socket = _bind(settings.http)
        url = local_url(settings.http.host, self.http_port)
        self._address_files = AddressFiles(state, runtime_folder(environment), url)
        entry = partial(
            create_entry,
            self.service,
            lambda: self.models.cards,
            lambda: self.registry,
            predict_handler,
            options,
            on_loaded=gc.freeze,  # many permanent objects, like those from the start: see run
        )
        self._http_server = HttpServerThread(lambda: build_server(entry(), connection_limits), self._socket, statistics)

    @cached_property
    def registry(self) -> CollectorRegistry:
        """The metrics, registered with the first scrape."""
        from gapcast.observability.metrics import ServiceInfo, build_registry  # noqa: PLC0415 - many are never scraped

        shards = self._settings.shards
        about = ServiceInfo(load_interpreter()[1], self.session.gateway, shards[0] if shards else None)
        return build_registry(self.service, about, self._settings.metrics.per_device)

    def _refit_nights(self, folder: Path, clock_s: Callable[[], float]) -> RefitNights:
        from gapcast.refit.nights import REFIT_FOLDER, NightOptions, RefitNights  # noqa: PLC0415 - few gateways refit

        learning, zone = self._settings.learning, self._settings.site.zone
        options = NightOptions(learning.refit_every_days, zone, self.session.gateway)
        return RefitNights(folder / REFIT_FOLDER, learning.refit_max_devices, options, clock_s)

    def _answer_over_mqtt(self, link: MqttLink, predict_handler: PredictHandler, topics: TopicSettings) -> None:
        gateway = self.session.gateway
        answers = answer_prefix("topics.answers", topics.answers, gateway)
        link.listen(
            gateway_topic("topics.predict", topics.predict, gateway),
            PredictRequests(self.session, answers, predict_handler.answer_message),
        )

    def _publish_discovery(self, link: MqttLink, settings: Settings) -> None:
        discovery_topics = HomeAssistantTopics(
            settings.homeassistant.discovery_prefix,
            DeviceTopic.parse("topics.forecast", settings.topics.forecast),
            DeviceTopic.parse("topics.availability", settings.topics.availability),
            gateway_topic("topics.status", settings.topics.status, self.session.gateway),
            DeviceTopic.parse("topics.scores", settings.topics.scores) if settings.learning.report_every_min else None,
            settings.homeassistant.max_devices,
            DeviceTopic.parse("topics.measured", settings.topics.measured),
            DeviceTopic.parse("topics.outlook", settings.topics.outlook),
            demand_topics_of(settings),
            settings.limits.max_kw,
        )
        outlook_model_of = self.service.queries.outlooks.model_of
        link.discovery = Discovery(
            self.session,
            discovery_topics,
            self._engine.published_model,
            outlook_model_of,
            demand_check_of(settings, outlook_model_of),
            self.service.queries.published_model_of,
        )
        link.listen(discovery_topics.birth_topic, link.discovery)

    def _prepare_models(self, models: Models) -> None:
        """Record the models of a shard before they are used, so that the record holds after a crash at any point."""
        if self._shard_lock is not None:
            self._shard_lock.record_models(models.stamps)

    def _use_models(self, models: Models) -> None:
        """Switch the REST API and discovery to new models."""
        self.models = models
        if self._link.discovery is not None:
            self._link.discovery.use_model(self.service.queries.published_model)

    def reload(self) -> None:
        """Reload the models beside the stream; see :meth:`gapcast.app.model_watcher.ModelWatcher.request_reload`."""
        self._model_watcher.request_reload()

    @property
    def http_port(self) -> int:
        """The port of the REST API."""
        return int(self._socket.getsockname()[1])

    def run(self, stopping: Event) -> None:
        """Restore the state and serve until ``stopping`` is set: the stream in this thread, REST in another.

        Raises :class:`ShardError` if this shard belongs to another worker, or is taken over by one.
        """
        if self._shard_lock is not None:
            self._shard_lock.acquire(self.models.stamps)
        if self._nights is not None:
            self._nights.restore(self._engine)
        if self._store is not None:
            self._store.restore(self._engine, self._link.meters)
        self._http_server.start()
        self._address_files.write()
        self._model_watcher.start()
        if self._nights is not None:
            self._nights.start(self.service)
        log.info("http.listening", host=self._socket.getsockname()[0], port=self.http_port)
        release_freed_memory()  # of the stored state, and of what the models were read from
        gc.freeze()  # objects from start-up are permanent: exclude them from collections
        gc.enable()  # off during the start
        gc.set_threshold(_GC_THRESHOLD)
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._notifier.ready(self.service.queries.status_line())
        try:
            on_iteration = partial(self._on_iteration, stopping)
            if wait_for_topic_affinity(self._settings, self._options, stopping, on_iteration):
                self.service.run(stopping, on_iteration)
        finally:
            self._notifier.stopping()
            if self._nights is not None:
                self._nights.stop()
            self._model_watcher.stop()
            self._address_files.remove()
            self.service.feed.close()
            self._http_server.stop()
            self.close()

    def _on_iteration(self, stopping: Event) -> None:
        """Notify the watchdog that the stream runs, unless the HTTP thread has died and a restart is needed."""
        if not self._intake_log.is_done:
            self._attempt("stream", self._intake_log.update)
        if stopping.is_set():
            self._notifier.stopping()
        elif self._notifier.is_due and self._http_server.is_alive:
            self._notifier.alive(self.service.queries.status_line)

    def close(self) -> None:
        """Release the port and the models' memory, as :meth:`run` does at its end. Idempotent."""
        self._socket.close()
        if self._shard_lock is not None:
            self._shard_lock.release()
        for model in self.models.by_name.values():
            model.release_interpreters()


def http_options(http: HttpSettings) -> HttpOptions:
    """Return the options of the REST API."""
    return HttpOptions(
        max_body_bytes=http.max_body_bytes,
        max_tensor_bytes=http.max_tensor_bytes,
        max_event_readers=http.max_event_readers,
        token=http.token.get_secret_value() if http.token else None,
        cors_origins=http.cors_origins,
        allow_from=http.allow_from,
        allow_changes_from=http.allow_changes_from,
        allowed_hosts=http.allowed_hosts,
        own_names=tuple(own_host_names(http.host)),
        max_event_readers_per_client=http.max_event_readers_per_client,
        max_total_body_bytes=http.max_total_body_bytes,
    )


def connection_limits_of(http: HttpSettings) -> ConnectionLimits:
    """Return the limits of HTTP connections."""
    return ConnectionLimits(
        max_connections=http.max_connections or default_max_connections(),
        head_timeout_s=http.head_timeout_s,
        body_timeout_s=http.body_timeout_s,
    )


def _bind(http: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        bound = socket.create_server((http.host, http.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        msg = f"http.host, http.port: cannot listen on {http.host} port {http.port} ({error})"
        raise SettingsError(msg) from error
    # asyncio does this only for sockets with an explicit protocol; without it, a response may be delayed by 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound
