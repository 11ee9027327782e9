"""Errors of the REST API as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gapcast.api.predict_answer import PROBLEM_TYPE, Problem, problem_of, validation_problem
from gapcast.core.errors import ModelError, PayloadError, RequestError

#: Descriptions by status. HTTP's own phrases differ between versions of Python.
_DESCRIPTIONS = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.UNAUTHORIZED: "A token is required and the request does not carry it",
    HTTPStatus.FORBIDDEN: "This address, or a page of this origin, is not allowed to do this",
    HTTPStatus.NOT_FOUND: "Not found, or not available yet",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The media type of the body is not supported, or the body is compressed",
    HTTPStatus.MISDIRECTED_REQUEST: "The Host header names another host than this gateway",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value is invalid; the detail names it",
    HTTPStatus.SERVICE_UNAVAILABLE: "Temporarily unavailable",
}
#: Prefix of the routes of the Open Inference Protocol.
TENSORS = "/v2/"
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def problem(status: HTTPStatus, detail: str, reason: str | None = None, path: str = "") -> JSONResponse:
    """Return a problem as the response to a request of ``path``."""
    return response_of(Problem.of(status, detail, reason), path)


def response_of(found: Problem, path: str = "") -> JSONResponse:
    """Return a problem as the response to a request of ``path``; the Open Inference Protocol expects ``error``."""
    document = found.model_dump(exclude_none=True)
    if path.startswith(TENSORS):
        document["error"] = found.detail
    return JSONResponse(document, status_code=found.status, media_type=PROBLEM_TYPE)


def answers(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that a route may return."""
    return {status.value: answer_of(status) for status in statuses}


def answer_of(status: HTTPStatus) -> dict[str, Any]:
    """Return the OpenAPI entry of a problem; :mod:`gapcast.http.document` adds its schema."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _DESCRIPTIONS[status], "content": {PROBLEM_TYPE: {"schema": schema}}}


def install(app: FastAPI) -> None:
    """Convert every error of ``app`` to a problem."""

    @app.exception_handler(RequestError)
    @app.exception_handler(PayloadError)
    @app.exception_handler(ModelError)
    async def unusable(request: Request, error: RequestError | PayloadError | ModelError) -> JSONResponse:
        return response_of(problem_of(error), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return response_of(validation_problem({**first, "loc": first["loc"][1:]}))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        answer = response_of(Problem.of(HTTPStatus(error.status_code), str(error.detail)), request.url.path)
        answer.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["allow"] = ", ".join(sorted(_methods(request)))
        return answer


def _methods(request: Request) -> set[str]:
    """Return the methods of a path; each is a separate route, possibly in different routers."""
    return {
        method
        for method in _METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
