"""Errors of the REST API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from gapcast.api.predict_answer import PROBLEM_TYPE, Problem

#: Descriptions by status. HTTP's own phrases differ between versions of Python.
_DESCRIPTIONS = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.UNAUTHORIZED: "A token is required, and the request has none or a wrong one",
    HTTPStatus.FORBIDDEN: "The client's address, or the origin of the requesting page, is not allowed to do this",
    HTTPStatus.NOT_FOUND: "Not found, or not available yet",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The media type of the body is not supported, or the body is compressed",
    HTTPStatus.MISDIRECTED_REQUEST: "The Host header names another host than this gateway",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value is invalid; the detail names it",
    HTTPStatus.SERVICE_UNAVAILABLE: "Temporarily unavailable",
}
#: Prefix of the routes of the Open Inference Protocol.
TENSORS = "/v2/"


def problem(status: HTTPStatus, detail: str, reason: str | None = None, path: str = "") -> JSONResponse:
    """Return a problem as the response to a request of ``path``."""
    return response_of(Problem.from_status(status, detail, reason), path)


def unavailable(detail: str, retry_after_s: int, path: str = "") -> JSONResponse:
    """Return a problem of status 503 that asks the client to try again after ``retry_after_s``."""
    answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, path=path)
    answer.headers["retry-after"] = str(retry_after_s)
    return answer


def response_of(found: Problem, path: str = "") -> JSONResponse:
    """Return a problem as the response to a request of ``path``; the Open Inference Protocol expects ``error``."""
    document = found.model_dump(exclude_none=True)
    if f"{path}/".startswith(TENSORS):  # also /v2 itself
        document["error"] = found.detail
    return JSONResponse(document, status_code=found.status, media_type=PROBLEM_TYPE)


def answers(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that a route may return."""
    return {status.value: answer_of(status) for status in statuses}


def answer_of(status: HTTPStatus) -> dict[str, Any]:
    """Return the OpenAPI entry of a problem; :mod:`gapcast.http.routes.openapi_document` adds its schema."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _DESCRIPTIONS[status], "content": {PROBLEM_TYPE: {"schema": schema}}}
