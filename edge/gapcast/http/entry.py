"""The entry of the REST API: answers small frequent requests itself, and loads the application for all others.

Loading FastAPI and building the routes would take a third of the time until a gateway is ready, and 10 MB of memory.
Many gateways never need them: their forecasts arrive by MQTT, and only health checks and metrics by HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.api.predict_answer import PredictHandler
from gapcast.core.models.card import ModelCard
from gapcast.core.monitoring.statistics import Statistics
from gapcast.http.errors import problems
from gapcast.http.options import HttpOptions
from gapcast.http.outer_layers import outer_layers
from gapcast.http.routes.predict_fast_path import PredictFastPath
from gapcast.http.routes.probes import ENDLESS, LIVENESS, METRICS, READINESS, Probes
from gapcast.service.containment import record_internal_error
from gapcast.service.service import Service

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_LIGHT_PATHS = frozenset({LIVENESS, *READINESS, METRICS, "/predict"})
_NOT_LOADED = "the REST API could not be loaded: see internal.error in the log of gapcast, and try again"
_RETRY_AFTER_S = 5


def create_entry(
    service: Service,
    cards: Callable[[], list[ModelCard]],
    registry: Callable[[], CollectorRegistry],
    handler: PredictHandler,
    options: HttpOptions,
    on_loaded: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """Return the entry of ``service``; see :func:`gapcast.http.app.create_app` for the arguments.

    ``registry`` returns the registry of the metrics, the same with each call. ``on_loaded`` is called once the
    application is loaded.
    """

    def build() -> ASGIApp:
        from gapcast.http.app import create_app  # noqa: PLC0415 - loads FastAPI

        app = create_app(service, cards, registry(), handler, options)
        on_loaded()
        return app

    return RestEntry(DeferredApp(build, service.statistics), service, registry, options)


class RestEntry:
    """Passes a GET of health, metrics or a device's latest forecast through only the layers that it needs.

    These are the outer layers of the application. Layers that only matter to other requests are left out: the guards of
    changes, bodies and computations. A request of a page (with an origin) always goes to the application.

    HEAD is answered as GET: the HTTP server omits the body.
    """

    def __init__(
        self,
        application: ASGIApp,
        service: Service,
        registry: Callable[[], CollectorRegistry],
        options: HttpOptions,
    ) -> None:
        self._application = application
        light: ASGIApp = PredictFastPath(Probes(application, service.queries, registry), service.queries)
        for layer in outer_layers(options, service.statistics):
            light = layer.cls(light, *layer.args, **layer.kwargs)
        self._light = light

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] != ENDLESS:
            scope = {**scope, "method": "GET"}
        await (self._light if _is_light(scope) else self._application)(scope, receive, send)


def _is_light(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and scope["path"] in _LIGHT_PATHS
        and not any(name == b"origin" for name, _ in scope["headers"])
    )


class DeferredApp:
    """An application that is built at its first request; requests that arrive meanwhile wait for it.

    It is built in a thread, so that health checks are answered meanwhile. If building fails, for instance because no
    more files can be opened, waiting requests are answered with 503, and the next request tries again.
    """

    def __init__(self, build: Callable[[], ASGIApp], statistics: Statistics) -> None:
        self._build, self._statistics = build, statistics
        self._application: ASGIApp | None = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the request to the application."""
        application = self._application
        if application is None:
            try:
                application = await self._built()
            except Exception as error:  # also ImportError and MemoryError
                record_internal_error(self._statistics, "http", error, "loading the REST API")
                application = problems.unavailable(_NOT_LOADED, _RETRY_AFTER_S, scope["path"])
        await application(scope, receive, send)

    async def _built(self) -> ASGIApp:
        async with self._building:
            if self._application is None:
                self._application = await asyncio.to_thread(self._build)
            return self._application
