"""Errors as ``application/problem+json`` (RFC 9457), as REST tells them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gapcast.api.predict_answer import PROBLEM_TYPE, Problem, problem_of, unfit
from gapcast.core.errors import ModelError, PayloadError, RequestError

#: In what cases a problem is answered. HTTP's own phrases differ between versions of Python.
_MEANING = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.UNAUTHORIZED: "A token is set, and the request does not bear it",
    HTTPStatus.FORBIDDEN: "This address, or a page of this origin, is not allowed to do this",
    HTTPStatus.NOT_FOUND: "There is no such thing, or not yet",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of another type than the route takes, or compressed",
    HTTPStatus.MISDIRECTED_REQUEST: "The request names a host that this gateway does not answer to",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value cannot be used; the detail names it",
    HTTPStatus.SERVICE_UNAVAILABLE: "It cannot be answered now",
}
#: Where the Open Inference Protocol is spoken.
TENSORS = "/v2/"
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def problem(status: HTTPStatus, detail: str, reason: str | None = None, path: str = "") -> JSONResponse:
    """Return a problem as the answer to what was asked of ``path``."""
    return response_of(Problem.of(status, detail, reason), path)


def response_of(told: Problem, path: str = "") -> JSONResponse:
    """Return a problem as the answer to what was asked of ``path``; the Open Inference Protocol looks for ``error``."""
    document = told.model_dump(exclude_none=True)
    if path.startswith(TENSORS):
        document["error"] = told.detail
    return JSONResponse(document, status_code=told.status, media_type=PROBLEM_TYPE)


def answers(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that a route may answer."""
    return {status.value: answer_of(status) for status in statuses}


def answer_of(status: HTTPStatus) -> dict[str, Any]:
    """Return the OpenAPI entry of a problem; :mod:`gapcast.http.document` adds the schema that it names."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _MEANING[status], "content": {PROBLEM_TYPE: {"schema": schema}}}


def install(app: FastAPI) -> None:
    """Translate every error of ``app``."""

    @app.exception_handler(RequestError)
    @app.exception_handler(PayloadError)
    @app.exception_handler(ModelError)
    async def unusable(request: Request, error: RequestError | PayloadError | ModelError) -> JSONResponse:
        return response_of(problem_of(error), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return response_of(unfit({**first, "loc": first["loc"][1:]}))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        answer = response_of(Problem.of(HTTPStatus(error.status_code), str(error.detail)), request.url.path)
        answer.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["allow"] = ", ".join(sorted(_methods(request)))
        return answer


def _methods(request: Request) -> set[str]:
    """Return what may be asked of a path; each method of it is a route of its own, maybe in a router of several."""
    return {
        method
        for method in _METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
