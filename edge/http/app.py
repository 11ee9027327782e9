"""The REST application: a thin twin of the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from edge.asking.answer import Desk
from edge.asking.request import PredictRequest
from edge.core.card import ModelCard
from edge.http import front, problems, reference
from edge.http.devices import PackedDevices, devices_router
from edge.http.document import DocumentedApp
from edge.http.events import EventReaders, events_router
from edge.http.guard import Guard
from edge.http.health import Health, HealthResponse, health_of
from edge.http.inference import inference_router
from edge.http.latest import LatestOfOne
from edge.http.schemas import ForecastDocument, ForecastList
from edge.service import Service


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How REST is served.

    ``token`` is what who asks must bear (None: nothing); pages of ``cors_origins`` may ask from a browser.
    """

    max_body_bytes: int = 262_144
    max_tensor_bytes: int = 16_777_216
    max_event_readers: int = 100
    token: str | None = None
    cors_origins: tuple[str, ...] = ()


def create_app(
    service: Service,
    cards: Callable[[], list[ModelCard]],
    registry: CollectorRegistry,
    desk: Desk,
    options: HttpOptions,
) -> FastAPI:
    """Return the application over ``service``; ``cards`` gives those of its models, ``desk`` answers what is asked."""
    app = DocumentedApp(
        title="gapcast",
        version=version("gapcast"),
        description="Five-minute-ahead forecasts of household power.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(LatestOfOne, service=service)
    app.add_middleware(PackedDevices)
    problems.install(app, options.max_body_bytes, options.max_tensor_bytes)
    if options.token is not None:
        app.add_middleware(Guard, token=options.token)
    if options.cors_origins:  # outermost: a browser's question whether it may ask bears no token
        app.add_middleware(CORSMiddleware, allow_origins=options.cors_origins, allow_methods=["*"], allow_headers=["*"])

    @app.get("/livez", tags=["health"])
    async def livez() -> dict[str, str]:
        """Answer while the process works; does not depend on the broker."""
        return {"status": "pass"}

    as_health: dict[str, Any] = {
        "tags": ["health"],
        "response_class": HealthResponse,
        "response_model": Health,
        "responses": {503: {"model": Health}},
    }

    @app.get("/healthz", **as_health)
    @app.get("/readyz", **as_health)
    async def readyz() -> Response:
        """Tell whether models are loaded and the broker is connected; ``warn`` where readings are not kept."""
        health = health_of(service)
        status = HTTPStatus.SERVICE_UNAVAILABLE if health.status == "fail" else HTTPStatus.OK
        return HealthResponse(health.model_dump(exclude_none=True), status)

    @app.get("/metrics", tags=["health"], response_class=Response)
    def metrics(request: Request) -> Response:
        """Metrics for Prometheus: its text format, or OpenMetrics where that is asked for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    @app.get("/models", tags=["models"])
    async def models() -> dict[str, list[ModelCard]]:
        """Return the cards of the loaded models."""
        return {"models": cards()}

    @app.get(
        "/predict",
        tags=["predict"],
        response_model=ForecastList | ForecastDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    async def predict_latest(device: str | None = None) -> Any:
        """Return the latest forecast of every device, or of the one named."""
        if device is None:
            return await run_in_threadpool(_latest, service)
        forecast = service.latest_of(device)
        if forecast is None:
            return problems.problem(HTTPStatus.NOT_FOUND, f"device {device!r} is unknown, or has no forecast yet")
        return JSONResponse(forecast.document())

    @app.post(
        "/predict",
        tags=["predict"],
        response_model=ForecastDocument,
        responses=problems.answers(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )
    def predict(request: PredictRequest) -> Any:
        """Forecast from the readings given; no device's state changes."""
        return JSONResponse(desk.forecast(request))

    app.include_router(devices_router(service))
    app.include_router(inference_router(service))
    app.include_router(events_router(EventReaders(service, options.max_event_readers)))
    reference.install(app)
    front.install(app)
    return app


def _latest(service: Service) -> JSONResponse:
    return JSONResponse({"forecasts": [forecast.document() for forecast in service.latest()]})
