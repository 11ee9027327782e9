"""The routes under ``/devices``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.api.devices import Devices
from gapcast.api.predict_request import PLAN_SCHEMA
from gapcast.http import problems
from gapcast.http.device_schemas import DeviceDocument, DevicePage, HistoryDocument, PlanDocument
from gapcast.service.service import Service

#: Largest page, and longest history that may be requested, which is also the longest that can be configured.
MAX_PAGE, MAX_MINUTES = 1_000, 10_080

_PATH = "/devices"
_PLAN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": PLAN_SCHEMA,
                "example": [{"kw": 7.4, "from": "2026-01-01T14:05:00Z", "minutes": 60, "name": "car"}],
            }
        },
    }
}


class PackedDevices:
    """Compresses responses under ``/devices`` for clients that accept it: a tenth of the bytes for a large page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packed = GZipMiddleware(app, minimum_size=2_000, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the request, with or without compression."""
        is_devices = scope["type"] == "http" and scope["path"].startswith(_PATH)
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
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Page size")] = 100,
        after: Annotated[str, Query(description="Start after this device id: `next` of the previous page")] = "",
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
        document = devices.one(device)
        return _unknown(device) if document is None else JSONResponse(document)

    @router.get(
        "/{device}/history",
        summary="History of a device",
        response_model=HistoryDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    )
    def history(
        device: str,
        minutes: Annotated[int, Query(ge=1, le=MAX_MINUTES, description="Length of the history in minutes")] = 180,
    ) -> Any:
        """Return recent readings of a device, and forecasts with their actual values."""
        document = devices.history(device, minutes)
        return _unknown(device) if document is None else JSONResponse(document)

    @router.get(
        "/{device}/plan",
        summary="Get a device's announced loads",
        response_model=PlanDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    def plan(device: str) -> Any:
        """Return the announced loads of a device that have not ended."""
        document = devices.plan(device)
        return _unknown(device) if document is None else JSONResponse(document)

    @router.put(
        "/{device}/plan",
        summary="Set a device's announced loads",
        response_model=PlanDocument,
        responses=problems.answers(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY),
        openapi_extra=_PLAN_BODY,
    )
    async def replace_plan(device: str, request: Request) -> Any:
        """Replace the announced loads of a device, also before its first reading; an empty list clears them."""
        body: bytes = (await request.receive())["body"]  # BodyLimit has read it
        return JSONResponse(await run_in_threadpool(devices.replace_plan, device, body))

    @router.delete(
        "/{device}/plan",
        summary="Delete a device's announced loads",
        status_code=204,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    def clear_plan(device: str) -> Response:
        """Remove the announced loads of a device."""
        return Response(status_code=HTTPStatus.NO_CONTENT) if devices.clear_plan(device) else _unknown(device)

    @router.delete(
        "/{device}", summary="Delete a device", status_code=204, responses=problems.answers(HTTPStatus.NOT_FOUND)
    )
    def forget(device: str) -> Response:
        """Delete a device with its state and its retained messages, until its next reading."""
        if not service.forget(device):
            return _unknown(device)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router


def _unknown(device: str) -> JSONResponse:
    return problems.problem(HTTPStatus.NOT_FOUND, f"device {device!r} is unknown")
