"""``/outlook``: the newest outlooks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gapcast.core.outlook.documents.outlook_document import outlook_document
from gapcast.http.errors import problems
from gapcast.http.routes.route_inputs import N_PER_PAGE, After, PageSize
from gapcast.http.schemas.forecast_schemas import OutlookDocument, OutlookList
from gapcast.service.queries.outlook_queries import OutlookQueries


def outlook_router(outlooks: OutlookQueries) -> APIRouter:
    """Return the route ``/outlook``."""
    router = APIRouter(tags=["predict"])

    @router.get(
        "/outlook",
        summary="Newest outlooks",
        response_model=OutlookList | OutlookDocument,
        responses=problems.answers(HTTPStatus.NOT_FOUND),
    )
    def outlook_latest(
        device: str | None = None,
        limit: PageSize = N_PER_PAGE,
        after: After = "",
    ) -> Any:
        """Return the newest outlook of one device, or of all devices that have one, sorted by id and paged."""
        if device is None:
            page, n_devices, next_ = outlooks.page(limit, after)
            documents = [outlook_document(outlook) for outlook in page]
            return JSONResponse({"outlooks": documents, "n_devices": n_devices, "next": next_})
        outlook = outlooks.for_device(device)
        if outlook is None:
            return problems.problem(HTTPStatus.NOT_FOUND, outlooks.explain_absence(device))
        return JSONResponse(outlook_document(outlook))

    return router
