"""The REST application: its routes, and the layers that a request passes before them."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from gapcast.api.predict_answer import PredictHandler
from gapcast.core.models.card import ModelCard
from gapcast.http import error_handlers
from gapcast.http.guards.change_guard import CrossSiteGuard, LocalChanges
from gapcast.http.guards.request_bodies import BodyLimit, BodyTypes, ComputeLimit
from gapcast.http.options import HttpOptions
from gapcast.http.outer_layers import outer_layers
from gapcast.http.routes import api_docs, web_page
from gapcast.http.routes.demand import demand_router
from gapcast.http.routes.devices import CompressedDevices, devices_router
from gapcast.http.routes.event_readers import EventReaders
from gapcast.http.routes.events import events_router
from gapcast.http.routes.inference import inference_router
from gapcast.http.routes.openapi_document import DocumentedApp
from gapcast.http.routes.operations import health_router, metrics_router, models_router
from gapcast.http.routes.outlook import outlook_router
from gapcast.http.routes.predict import predict_router
from gapcast.http.routes.predict_fast_path import PredictFastPath
from gapcast.http.routes.route_inputs import CHECKED
from gapcast.http.routes.sources import sources_router
from gapcast.service.service import Service
from gapcast.text.distribution_version import version_of


def create_app(
    service: Service,
    cards: Callable[[], list[ModelCard]],
    registry: CollectorRegistry,
    handler: PredictHandler,
    options: HttpOptions,
) -> FastAPI:
    """Return the application of ``service``; ``cards`` returns the model cards, ``handler`` serves POST /predict."""
    app = DocumentedApp(
        title="gapcast",
        version=version_of("gapcast"),
        description="Forecasts of household power, five minutes ahead, and each lead time up to an hour.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # redirects go to an absolute address, which lacks a proxy's prefix
    )
    error_handlers.install(app)
    _add_layers(app, service, options)

    app.include_router(health_router(service.queries))
    app.include_router(metrics_router(registry))
    app.include_router(models_router(cards), dependencies=CHECKED)
    app.include_router(predict_router(service.queries, handler), dependencies=CHECKED)
    app.include_router(outlook_router(service.queries.outlooks), dependencies=CHECKED)
    app.include_router(demand_router(service), dependencies=CHECKED)
    app.include_router(devices_router(service), dependencies=CHECKED)
    app.include_router(sources_router(service.queries), dependencies=CHECKED)
    app.include_router(inference_router(service.queries))
    readers = EventReaders(service, options.max_event_readers, options.max_event_readers_per_client)
    app.include_router(events_router(readers), dependencies=CHECKED)
    api_docs.install(app)
    web_page.install(app)
    return app


def _add_layers(app: FastAPI, service: Service, options: HttpOptions) -> None:
    """Add the layers before the routes, from the innermost to the outermost."""
    app.add_middleware(ComputeLimit)
    app.add_middleware(CompressedDevices)
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
    # Outside of the layers that a request without a body does not need:
    app.add_middleware(PredictFastPath, queries=service.queries)
    for layer in outer_layers(options, service.statistics):
        app.add_middleware(layer.cls, *layer.args, **layer.kwargs)
