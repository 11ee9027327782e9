"""The REST application: a thin twin of the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from gapcast.api.predict_answer import JSON_TYPE, PredictHandler
from gapcast.core.card import ModelCard
from gapcast.http import front, problems, reference
from gapcast.http.change_guard import CrossSiteGuard, LocalChanges
from gapcast.http.devices import PackedDevices, devices_router
from gapcast.http.document import DocumentedApp
from gapcast.http.events import EventReaders, events_router
from gapcast.http.guard import Guard
from gapcast.http.health import Health, HealthResponse, health_of
from gapcast.http.host_check import HostCheck
from gapcast.http.inference import inference_router
from gapcast.http.ip_allowlist import IpAllowlist
from gapcast.http.ip_networks import Networks
from gapcast.http.latest import LatestOfOne
from gapcast.http.request_bodies import BodyLimit, BodyTypes, ComputeLimit
from gapcast.http.safe_responses import SafeResponses
from gapcast.http.schemas import ForecastDocument, ForecastList
from gapcast.service.service import Service


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How REST is served, and to whom.

    Requests must carry ``token`` (None: anyone may ask); pages of ``cors_origins`` may ask from a browser. Where
    ``allow_from`` is not empty, only clients in it may ask at all. Without a token, only clients on this machine and in
    ``allow_changes_from`` may change anything. ``allowed_hosts`` and ``own_names`` are the names in the header Host
    that are answered beside addresses.
    """

    max_body_bytes: int = 262_144
    max_tensor_bytes: int = 16_777_216
    max_event_readers: int = 100
    token: str | None = None
    cors_origins: tuple[str, ...] = ()
    allow_from: Networks = ()
    allow_changes_from: Networks = ()
    allowed_hosts: tuple[str, ...] = ()
    own_names: tuple[str, ...] = ()
    max_event_readers_per_client: int = 10
    max_total_body_bytes: int = 33_554_432


#: Page size of ``GET /predict``: as asked, and without being asked.
MAX_FORECASTS, _N_FORECASTS = 10_000, 1_000
_PREDICT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/PredictRequest"}}},
    }
}


def create_app(
    service: Service,
    cards: Callable[[], list[ModelCard]],
    registry: CollectorRegistry,
    desk: PredictHandler,
    options: HttpOptions,
) -> FastAPI:
    """Return the application over ``service``; ``cards`` gives those of its models, ``desk`` answers what is asked."""
    app = DocumentedApp(
        title="gapcast",
        version=version("gapcast"),
        description="Forecasts of household power, five minutes ahead.",
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    _add_layers(app, service, options)

    @app.get("/livez", tags=["health"])
    async def livez() -> dict[str, str]:
        """Liveness: return 200 while the process is alive, with or without a broker."""
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
        """Readiness: models loaded and broker connected; ``warn`` if the state is not persisted."""
        health = health_of(service)
        status = HTTPStatus.SERVICE_UNAVAILABLE if health.status == "fail" else HTTPStatus.OK
        return HealthResponse(health.model_dump(exclude_none=True), status)

    @app.get("/metrics", tags=["health"], response_class=Response)
    def metrics(request: Request) -> Response:
        """Return metrics in the Prometheus text format, or as OpenMetrics by content negotiation."""
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
    async def predict_latest(
        device: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_FORECASTS, description="Page size")] = _N_FORECASTS,
        after: Annotated[str, Query(description="Start after this device id: `next` of the previous page")] = "",
    ) -> Any:
        """Return the latest forecast of one device, or of all devices, sorted by id and paged."""
        if device is None:
            return await run_in_threadpool(_latest, service, limit, after)
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
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
        openapi_extra=_PREDICT,
    )
    async def predict(request: Request) -> Any:
        """Forecast from the readings in the request; the state of devices does not change."""
        body: bytes = (await request.receive())["body"]  # BodyLimit has read it; request.body() would copy it
        answer = await run_in_threadpool(desk.answer, body, len(body))
        return Response(answer.document, answer.status, media_type=answer.media_type)

    app.include_router(devices_router(service))
    app.include_router(inference_router(service))
    readers = EventReaders(service, options.max_event_readers, options.max_event_readers_per_client)
    app.include_router(events_router(readers))
    reference.install(app)
    front.install(app)
    return app


def _add_layers(app: FastAPI, service: Service, options: HttpOptions) -> None:
    """Add what a request passes before its route; from the innermost to the outermost."""
    app.add_middleware(ComputeLimit)
    app.add_middleware(PackedDevices)
    app.add_middleware(
        BodyLimit,
        max_body_bytes=options.max_body_bytes,
        max_tensor_bytes=options.max_tensor_bytes,
        max_total_bytes=options.max_total_body_bytes,
    )
    app.add_middleware(BodyTypes)
    if options.token is None:
        app.add_middleware(LocalChanges, networks=options.allow_changes_from)
    app.add_middleware(CrossSiteGuard, origins=options.cors_origins)
    app.add_middleware(LatestOfOne, service=service)  # outside of what its answers, without a body, do not need
    if options.token is not None:
        app.add_middleware(Guard, token=options.token)
    if options.cors_origins:  # outside of Guard: a browser's question whether it may ask carries no token
        app.add_middleware(CORSMiddleware, allow_origins=options.cors_origins, allow_methods=["*"], allow_headers=["*"])
    if options.allow_from:
        app.add_middleware(IpAllowlist, networks=options.allow_from)
    app.add_middleware(HostCheck, allowed_hosts=options.allowed_hosts, own_names=options.own_names)
    app.add_middleware(SafeResponses, statistics=service.statistics)


def _latest(service: Service, limit: int, after: str) -> JSONResponse:
    forecasts, n_devices, next_ = service.latest_page(limit, after)
    documents = [forecast.document() for forecast in forecasts]
    return JSONResponse({"forecasts": documents, "n_devices": n_devices, "next": next_})
