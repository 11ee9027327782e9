"""The routes under ``/devices``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.api.devices import Devices
from gapcast.api.predict_request import PLAN_SCHEMA
from gapcast.core.time_grid import WEEK_MIN
from gapcast.http.errors import problems
from gapcast.http.routes.route_inputs import (
    CHANGE_PROBLEMS,
    N_PER_PAGE,
    PLAIN,
    After,
    PageSize,
    accepts_gzip,
    body_of,
    json_body,
)
from gapcast.http.schemas.device_schemas import DeviceDocument, DevicePage, HistoryDocument, PlanDocument
from gapcast.service.queries.unknown_device import unknown_device
from gapcast.service.service import Service

_PATH = "/devices"
_PLAN_BODY = json_body(PLAN_SCHEMA, [{"kw": 7.4, "from": "2026-01-01T14:05:00Z", "minutes": 60, "name": "car"}])


class CompressedDevices:
    """Compresses responses under ``/devices`` for clients that accept it: a tenth of the bytes for a large page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packed = GZipMiddleware(app, minimum_size=2_000, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the request, with or without compression."""
        is_devices = scope["path"].startswith(_PATH)
        if is_devices and not accepts_gzip(Headers(scope=scope)):  # the middleware ignores weights
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await (self._packed if is_devices else self._app)(scope, receive, send)


def devices_router(service: Service) -> APIRouter:
    """Return the routes under ``/devices``."""
    router = APIRouter(prefix=_PATH, tags=["devices"])
    devices = Devices(service)

    @router.get(
        "",
        summary="List devices",
        response_model=DevicePage,
        responses=problems.answers(HTTPStatus.UNPROCESSABLE_ENTITY),
    )
    def page(
        limit: PageSize = N_PER_PAGE,
        after: After = "",
    ) -> Any:
        """Return the state of all devices, sorted by id and paged."""
        return JSONResponse(devices.page(limit, after))

    @router.get(
        "/{device}",
        summary="Get a device",
        response_model=DeviceDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    def one(device: str) -> Any:
        """Return the state of a device, with its outlook and its scores of the last day, the last week and all time."""
        return _answer(device, devices.one(device))

    @router.get(
        "/{device}/history",
        summary="History of a device",
        response_model=HistoryDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    )
    def history(
        device: str,
        minutes: Annotated[int, Query(ge=1, le=WEEK_MIN, description="Length of the history in minutes"), PLAIN] = 180,
    ) -> Any:
        """Return recent readings of a device, and forecasts with their actual values."""
        return _answer(device, devices.history(device, minutes))

    @router.get(
        "/{device}/plan",
        summary="Get a device's announced loads",
        response_model=PlanDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    def plan(device: str) -> Any:
        """Return the announced loads of a device that have not ended."""
        return _answer(device, devices.plan(device))

    @router.put(
        "/{device}/plan",
        summary="Set a device's announced loads",
        response_model=PlanDocument,
        responses=CHANGE_PROBLEMS,
        openapi_extra=_PLAN_BODY,
    )
    async def replace_plan(device: str, request: Request) -> Any:
        """Replace the announced loads of a device, also before its first reading; an empty list clears them."""
        return JSONResponse(await run_in_threadpool(devices.replace_plan, device, await body_of(request)))

    @router.delete(
        "/{device}/plan",
        summary="Delete a device's announced loads",
        status_code=204,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    def clear_plan(device: str) -> Response:
        """Remove the announced loads of a device."""
        return _removed(device, devices.clear_plan(device))

    @router.delete(
        "/{device}", summary="Delete a device", status_code=204, responses=problems.answers(HTTPStatus.NOT_FOUND)
    )
    def forget(device: str) -> Response:
        """Delete a device with its state and its retained messages, until its next reading."""
        return _removed(device, service.forget(device))

    return router


def _answer(device: str, document: Any | None) -> JSONResponse:
    """Return ``document``, or 404 if there is none because the device is unknown."""
    return _unknown(device) if document is None else JSONResponse(document)


def _removed(device: str, was_known: bool) -> Response:
    """Return 204, or 404 if there was nothing to remove because the device is unknown."""
    return Response(status_code=HTTPStatus.NO_CONTENT) if was_known else _unknown(device)


def _unknown(device: str) -> JSONResponse:
    return problems.problem(HTTPStatus.NOT_FOUND, unknown_device(device))
