"""Converts every error of the REST application to a problem."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match

from gapcast.api.predict_answer import Problem, problem_of, validation_problem
from gapcast.core.errors import ModelError, PayloadError, RequestError
from gapcast.http.errors.problems import response_of
from gapcast.http.routes.probes import ENDLESS

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


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
        status, detail, headers = HTTPStatus(error.status_code), str(error.detail), dict(error.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = ", ".join(sorted(_methods(request)))
            detail = f"this route has no {request.method}: use {headers['allow']}"
        elif status is HTTPStatus.NOT_FOUND and detail == status.phrase:
            detail = "there is no such route: /docs lists them"
        answer = response_of(Problem.from_status(status, detail), request.url.path)
        answer.headers.update(headers)
        return answer


def _methods(request: Request) -> set[str]:
    """Return the methods of a path; each is a separate route, possibly in different routers. HEAD counts as GET."""
    methods = {
        method
        for method in _METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    return methods | {"HEAD"} if "GET" in methods and request.url.path != ENDLESS else methods
