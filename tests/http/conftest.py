"""The REST application under a real uvicorn on a loopback port, with an in-memory link instead of a broker."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from gapcast.api.predict_answer import PredictHandler
from gapcast.app.models.loaded_models import Models
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.streams.history import History
from gapcast.http.entry import create_entry
from gapcast.http.options import HttpOptions
from gapcast.http.server.connection_limits import ConnectionLimits
from gapcast.http.server.server import HttpServerThread, Implementation, build_server
from gapcast.observability.metrics import ServiceInfo, build_registry
from gapcast.predictors.models_folder.store import load_model
from gapcast.predictors.tflite.runtime import load_interpreter
from gapcast.service.service import Service
from tests.support.links import MemoryLink
from tests.support.models import default_name, every_feature_model, shipped_models, shipped_names
from tests.support.ports import LOOPBACK
from tests.support.waiting import GUARD_S

EVERY = every_feature_model().name
MODELS = sorted([*shipped_names(), EVERY])
MAX_BODY_BYTES, MAX_READINGS, MAX_EVENT_READERS = 20_000, 500, 3
MAX_TENSOR_BYTES = 4_000_000
LIMITS = ConnectionLimits()


@dataclass(frozen=True, slots=True)
class Rest:
    """A served application: ``client`` sends requests, ``link`` delivers readings."""

    client: httpx.Client
    link: MemoryLink
    service: Service
    port: int

    def push(self, *readings: Reading) -> None:
        self.link.put(*readings)
        self.service.run_once(0)


@pytest.fixture(scope="session")
def models() -> Models:
    """Every shipped model and one with every feature, loaded once."""
    folders = [*(shipped_models() / name for name in shipped_names()), every_feature_model()]
    by_name = {folder.name: load_model(folder) for folder in folders}
    return Models(by_name, by_name[default_name()])


@pytest.fixture(scope="module")
def rest(models: Models) -> Iterator[Rest]:
    """A fresh service, one for each file of tests."""
    with serving(models, HttpOptions(MAX_BODY_BYTES, MAX_TENSOR_BYTES, MAX_EVENT_READERS)) as rest:
        yield rest


@contextmanager
def serving(
    models: Models,
    options: HttpOptions,
    limits: ConnectionLimits = LIMITS,
    implementation: Implementation = "auto",
    host: str = LOOPBACK,
) -> Iterator[Rest]:
    """Serve a fresh service at ``host``."""
    link = MemoryLink()
    service = Service(link, Engine(models.primary, history=History(60, 10)), models.by_name)
    registry = build_registry(service, ServiceInfo(load_interpreter()[1], "gw-test"))
    app = create_entry(
        service,
        lambda: models.cards,
        lambda: registry,
        PredictHandler(service.queries, Limits(), max_body_bytes=MAX_BODY_BYTES, max_readings=MAX_READINGS),
        options,
    )
    listening = socket.create_server((host, 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listening.getsockname()[1]
    server = HttpServerThread(lambda: build_server(app, limits, implementation), service.statistics)
    server.start(listening)
    assert httpx.get(f"http://{host}:{port}/livez", timeout=GUARD_S).is_success
    # The server closes idle connections after some seconds: on a busy machine just as a request reuses one.
    no_reuse = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=GUARD_S, limits=no_reuse) as client:
        yield Rest(client, link, service, port)
    service.feed.close()
    server.stop()
    listening.close()
