"""Requests of supervisors and Prometheus, answered without the REST application: health checks, metrics.

A gateway used only over MQTT gets no other requests: :mod:`gapcast.http.entry` loads the application at the first other
request, and the metrics are registered at the first scrape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http.routes.health import readiness_of
from gapcast.service.queries.queries import ServiceQueries

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: The liveness document.
ALIVE = {"status": "pass"}
#: The response without an end, which therefore does not support HEAD.
ENDLESS = "/events"
LIVENESS, READINESS, METRICS = "/livez", ("/readyz", "/healthz"), "/metrics"


class Probes:
    """Answers GET requests for health checks and metrics; passes all others on.

    The routes of the same paths return the same, and add the OpenAPI document and the problems.
    """

    def __init__(self, app: ASGIApp, queries: ServiceQueries, registry: Callable[[], CollectorRegistry]) -> None:
        self._app = app
        self._queries = queries
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on the request."""
        path = scope["path"]
        answer: ASGIApp = self._app
        if path == LIVENESS:
            answer = JSONResponse(ALIVE)
        elif path in READINESS:
            answer = readiness_of(self._queries)
        elif path == METRICS:
            # In a thread: the metrics of thousands of devices take a second.
            answer = await run_in_threadpool(self._metrics, Headers(scope=scope).get("accept", ""))
        await answer(scope, receive, send)

    def _metrics(self, accept: str) -> Response:
        return encoded_metrics(self._registry(), accept)


def encoded_metrics(registry: CollectorRegistry, accept: str) -> Response:
    """Return the metrics in ``registry`` in the Prometheus text format, or as OpenMetrics if ``accept`` names it."""
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - with the first scrape

    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), media_type=content_type)
