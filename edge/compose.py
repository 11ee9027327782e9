"""The composition root: the one place that joins adapters to the core."""

from __future__ import annotations

import gc
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event, Thread

import structlog
import uvicorn

from edge.bundled import models_path
from edge.core.card import ModelCard
from edge.core.engine import Engine
from edge.core.errors import ModelError, SettingsError
from edge.core.features import measured_in
from edge.core.reading import Limits
from edge.http.app import create_app
from edge.keeping import KeepsNothing
from edge.mqtt.client import SessionOptions
from edge.mqtt.link import MqttLink, Topics
from edge.mqtt.session import Session
from edge.mqtt.topics import DeviceTopic, gateway_topic
from edge.predictors.runtime import load_interpreter
from edge.predictors.store import default_model, load_model, model_names
from edge.predictors.tflite import TflitePredictor
from edge.service import Service
from edge.settings import HttpSettings, Settings
from edge.state import gateway_id, state_path
from edge.storage.store import Store
from edge.telemetry import build_registry

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Models:
    """The loaded models, and the one that speaks."""

    by_name: dict[str, TflitePredictor]
    speaking: TflitePredictor

    @property
    def cards(self) -> list[ModelCard]:
        """Their cards, by name."""
        return [predictor.card for _, predictor in sorted(self.by_name.items())]


class Application:
    """A gateway, joined and ready: :meth:`run` serves until told to stop."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Load the models, prepare the link, bind the port; connect to nothing yet.

        Raises :class:`SettingsError` or :class:`ModelError`.
        """
        self.models = load_models(settings)
        self.session = Session(session_options(settings, environment))
        limits = Limits(settings.limits.min_kw, settings.limits.max_kw)
        link = MqttLink(
            self.session,
            Topics(
                DeviceTopic.parse("topics.reading", settings.topics.reading),
                DeviceTopic.parse("topics.forecast", settings.topics.forecast),
                gateway_topic("topics.rejected", settings.topics.rejected, self.session.gateway),
            ),
            limits,
            retain_forecasts=settings.mqtt.retain_forecasts,
            extras=measured_in(self.models.speaking.features)[1:],
        )
        self._engine = Engine(self.models.speaking, settings.devices.max, settings.site.zone)
        self._store = Store(state_path(settings.state.path, environment) / "stream") if settings.state.keep else None
        self.service = Service(link, self._engine, self.models.by_name, self._store or KeepsNothing())
        app = create_app(
            self.service,
            self.models.cards,
            build_registry(self.service, load_interpreter()[1]),
            limits,
            max_body_bytes=settings.http.max_body_bytes,
            max_readings=settings.http.max_readings,
        )
        self._socket = _bind(settings.http)
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        )

    @property
    def http_port(self) -> int:
        """The port that REST answers on."""
        return int(self._socket.getsockname()[1])

    def run(self, stopping: Event) -> None:
        """Go on where the last process ended, until ``stopping`` is set: the stream in this thread, REST in another."""
        if self._store is not None:
            self._store.restore(self._engine)
        rest = Thread(target=self._server.run, args=([self._socket],), name="rest")
        rest.start()
        log.info("http.listening", host=self._socket.getsockname()[0], port=self.http_port)
        gc.freeze()  # what start-up made stays: collections need not look at it again
        try:
            self.service.run(stopping)
        finally:
            self._server.should_exit = True
            rest.join()
            self._socket.close()


def load_models(settings: Settings) -> Models:
    """Load and self-test every model; raise :class:`ModelError` where one, or the one asked for, is no good.

    Only the one that speaks keeps its interpreters: a larger model's take megabytes each. The others make
    theirs anew when they are asked.
    """
    folder = settings.models.path or models_path()
    speaking = settings.forecast.model or default_model(folder)
    names = model_names(folder)
    if speaking not in names:
        msg = f"there is no model {speaking!r} in {folder}; there are: {', '.join(names) or 'none'}"
        raise ModelError(msg)
    by_name = {}
    for name in sorted(names, key=lambda name: name == speaking):  # it comes last, and takes over their memory
        by_name[name] = load_model(folder / name)
        if name != speaking:
            by_name[name].rest()
    by_name[speaking].warm_up()
    return Models(by_name, by_name[speaking])


def session_options(settings: Settings, environment: Mapping[str, str]) -> SessionOptions:
    """Return how to reach the broker, and as whom."""
    gateway = gateway_id(settings.gateway.id, state_path(settings.state.path, environment))
    mqtt = settings.mqtt
    return SessionOptions(
        gateway=gateway,
        status_topic=gateway_topic("topics.status", settings.topics.status, gateway),
        subscriptions=(DeviceTopic.parse("topics.reading", settings.topics.reading).filter,),
        host=mqtt.host,
        port=mqtt.port,
        username=mqtt.username,
        password=mqtt.password.get_secret_value() if mqtt.password else None,
        protocol=mqtt.protocol,
        qos=mqtt.qos,
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=mqtt.session_expiry_s,
        receive_maximum=mqtt.receive_maximum,
    )


def _bind(http: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        bound = socket.create_server((http.host, http.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        msg = f"http.host, http.port: cannot listen on {http.host} port {http.port} ({error})"
        raise SettingsError(msg) from error
    # asyncio does this only where a socket names its protocol, as these do not; an answer would wait 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound
