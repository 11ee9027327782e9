"""``/predict``: the newest forecasts, and forecasts of readings in a request."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from gapcast.api.predict_answer import JSON_TYPE, PredictHandler
from gapcast.http.errors import problems
from gapcast.http.routes.route_inputs import PLAIN, After, body_of
from gapcast.http.schemas.forecast_schemas import ForecastDocument, ForecastList, PredictDocument
from gapcast.service.queries.queries import ServiceQueries

#: Page size of ``GET /predict``: maximum and default.
MAX_FORECASTS, _N_FORECASTS = 10_000, 1_000
_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/PredictRequest"}}},
    }
}


def predict_router(queries: ServiceQueries, handler: PredictHandler) -> APIRouter:
    """Return the routes of ``/predict``."""
    router = APIRouter(tags=["predict"])

    @router.get(
        "/predict",
        summary="Newest forecasts",
        response_model=ForecastList | ForecastDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    async def predict_latest(
        device: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_FORECASTS, description="Page size"), PLAIN] = _N_FORECASTS,
        after: After = "",
    ) -> Any:
        """Return the newest forecast of one device, or of all devices, sorted by id and paged."""
        if device is None:
            return await run_in_threadpool(_latest_page, queries, limit, after)
        forecast = queries.latest_of(device)
        if forecast is None:
            return problems.problem(HTTPStatus.NOT_FOUND, queries.explain_absence(device))
        return JSONResponse(forecast.document())

    @router.post(
        "/predict",
        summary="Forecast from readings",
        response_model=PredictDocument,
        responses=problems.answers(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
        openapi_extra=_REQUEST,
    )
    async def predict(request: Request) -> Any:
        """Forecast from the readings in the request; the state of devices does not change."""
        body = await body_of(request)
        answer = await run_in_threadpool(handler.answer, body, len(body))
        return Response(answer.document, answer.status, media_type=answer.media_type)

    return router


def _latest_page(queries: ServiceQueries, limit: int, after: str) -> JSONResponse:
    forecasts, n_devices, next_ = queries.latest_page(limit, after)
    documents = [forecast.document() for forecast in forecasts]
    return JSONResponse({"forecasts": documents, "n_devices": n_devices, "next": next_})
