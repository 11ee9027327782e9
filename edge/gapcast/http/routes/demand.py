"""``/demand`` and ``/headroom``: the newest demands, the available power, and changes of limits and month's peaks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from gapcast.api.demand_changes import LIMIT_SCHEMA, PEAK_SCHEMA, DemandChangeHandler
from gapcast.api.headroom_answer import DURATION_SCHEMA, LOAD_SCHEMA, HeadroomHandler, no_demand
from gapcast.api.predict_answer import Problem
from gapcast.core.billing.infeasible_limit import LIMIT_WARNINGS
from gapcast.core.demand.documents.document import demand_document, device_demand_document
from gapcast.core.errors import NoDemandError
from gapcast.http.errors import problems
from gapcast.http.routes.route_inputs import CHANGE_PROBLEMS, N_PER_PAGE, PLAIN, After, PageSize, body_of, json_body
from gapcast.http.schemas.demand_schemas import (
    DemandList,
    DeviceDemandDocument,
    HeadroomDocument,
    MonthPeakDocument,
    SetLimitDocument,
)
from gapcast.service.service import Service

_LIMIT_BODY = json_body(LIMIT_SCHEMA, 2.5)
_PEAK_BODY = json_body(PEAK_SCHEMA, {"kw": 3.2, "at": "2026-11-03T18:15:00+01:00"})
#: Bounds in the document only: :func:`.headroom_request` checks them, for MQTT too.
_LOAD = Query(description=LOAD_SCHEMA["description"], json_schema_extra=LOAD_SCHEMA)
_DURATION = Query(description=DURATION_SCHEMA["description"], json_schema_extra=DURATION_SCHEMA)


def demand_router(service: Service) -> APIRouter:
    """Return the routes of ``/demand`` and ``/headroom``."""
    router = APIRouter(tags=["demand"])
    demands, handler = service.queries.demands, HeadroomHandler(service.queries)
    changes = DemandChangeHandler(service)

    @router.get(
        "/demand",
        summary="Newest demands",
        response_model=DemandList | DeviceDemandDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    def demand_latest(
        device: str | None = None,
        limit: PageSize = N_PER_PAGE,
        after: After = "",
    ) -> Any:
        """Return the newest demand of one device, with the month's highest windows, or of all devices by id, paged."""
        if device is None:
            page, n_devices, next_ = demands.page(limit, after)
            documents = [demand_document(demand) for demand in page]
            infeasible_limits = [demands.infeasible_limit(demand.device) for demand in page]
            warnings = {one.device: one.text for one in infeasible_limits if one is not None}
            return JSONResponse({"demands": documents, LIMIT_WARNINGS: warnings, "n_devices": n_devices, "next": next_})
        try:
            demand = demands.for_device(device)
        except NoDemandError as error:
            return problems.response_of(no_demand(error))
        peaks, infeasible_limit = demands.month_peaks(device), demands.infeasible_limit(device)
        return JSONResponse(device_demand_document(demand, peaks, demands.timezone, infeasible_limit))

    @router.get(
        "/headroom",
        summary="Check whether a load fits the limit",
        response_model=HeadroomDocument,
        responses=problems.answers(
            HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
        ),
    )
    def headroom(
        device: str,
        kw: Annotated[float, _LOAD, PLAIN],
        minutes: Annotated[int, _DURATION, PLAIN],
    ) -> Any:
        """Return whether a load may be drawn from now on, how much may be, and when it may start within the hour."""
        answer = handler.answer(device, kw, minutes)
        return problems.response_of(answer) if isinstance(answer, Problem) else JSONResponse(answer)

    @router.put(
        "/demand/limit",
        summary="Set a device's limit",
        response_model=SetLimitDocument,
        responses=CHANGE_PROBLEMS,
        openapi_extra=_LIMIT_BODY,
    )
    async def set_limit(device: str, request: Request) -> Any:
        """Set the limit of a device from its next reading on; null restores the configured one."""
        return JSONResponse(await run_in_threadpool(changes.set_limit, device, await body_of(request)))

    @router.put(
        "/demand/month_peak",
        summary="Correct the month's peak",
        response_model=MonthPeakDocument,
        responses=CHANGE_PROBLEMS,
        openapi_extra=_PEAK_BODY,
    )
    async def correct_month_peak(device: str, request: Request) -> Any:
        """Correct the highest window of the running month of a device, from its next reading on."""
        return JSONResponse(await run_in_threadpool(changes.correct_month_peak, device, await body_of(request)))

    return router
