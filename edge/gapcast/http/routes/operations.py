"""Routes for operators: health, metrics, and the loaded models."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry

from gapcast.core.models.card import ModelCard
from gapcast.http.errors import problems
from gapcast.http.routes.health import Health, HealthResponse, readiness_of
from gapcast.http.routes.probes import ALIVE, encoded_metrics
from gapcast.service.queries.queries import ServiceQueries

_HEALTH: dict[str, Any] = {
    "response_class": HealthResponse,
    "response_model": Health,
    "responses": {503: {"model": Health}},
}
_METRICS: dict[str, Any] = {
    media_type: {"schema": {"type": "string"}} for media_type in ("text/plain", "application/openmetrics-text")
}


def health_router(queries: ServiceQueries) -> APIRouter:
    """Return the routes of liveness and readiness."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", summary="Liveness")
    async def livez() -> dict[str, str]:
        """Liveness: return 200 while the process is alive, with or without a broker."""
        return ALIVE

    @router.get("/healthz", summary="Readiness", **_HEALTH)
    @router.get("/readyz", summary="Readiness", **_HEALTH)
    async def readyz() -> Response:
        """Readiness: models loaded and broker connected; ``warn`` if the state is not persisted."""
        return readiness_of(queries)

    return router


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """Return the route of the metrics in ``registry``."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/metrics", summary="Prometheus metrics", response_class=Response, responses={200: {"content": _METRICS}}
    )
    def metrics(request: Request) -> Response:
        """Return metrics in the Prometheus text format, or as OpenMetrics by content negotiation."""
        return encoded_metrics(registry, request.headers.get("accept", ""))

    return router


def models_router(cards: Callable[[], list[ModelCard]]) -> APIRouter:
    """Return the route of the models; ``cards`` returns the model cards."""
    router = APIRouter(tags=["models"])

    @router.get(
        "/models",
        summary="Cards of the loaded models",
        responses=problems.answers(HTTPStatus.UNPROCESSABLE_ENTITY),
    )
    async def models() -> dict[str, list[ModelCard]]:
        """Return the cards of the loaded models."""
        return {"models": cards()}

    return router
