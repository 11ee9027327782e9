"""What supervisors and Prometheus request, answered without the REST application: health checks and metrics.

A gateway that is used by MQTT alone is only ever asked these. FastAPI, the routes and their schemas take 12 MB and half
of the time to load, so :mod:`gapcast.http.entry` loads them with the first other request.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http.health import readiness_of
from gapcast.service.queries import ServiceQueries

#: The liveness document.
ALIVE = {"status": "pass"}
LIVENESS, READINESS, METRICS = "/livez", ("/readyz", "/healthz"), "/metrics"


class Probes:
    """Answers GET of health checks and metrics; all other requests pass on.

    The routes of the same paths return the same, and add the OpenAPI document and the problems.
    """

    def __init__(self, app: ASGIApp, queries: ServiceQueries, registry: CollectorRegistry) -> None:
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
            # In a thread: those of thousands of devices take a second.
            answer = await run_in_threadpool(encoded_metrics, self._registry, Headers(scope=scope).get("accept", ""))
        await answer(scope, receive, send)


def encoded_metrics(registry: CollectorRegistry, accept: str) -> Response:
    """Return the metrics in ``registry`` in the Prometheus text format, or as OpenMetrics if ``accept`` names it."""
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), media_type=content_type)
