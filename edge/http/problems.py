"""Errors as ``application/problem+json`` (RFC 9457), as REST tells them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.asking.answer import PROBLEM_TYPE, Problem, problem_of, too_large, unfit
from edge.core.errors import ModelError, PayloadError, RequestError

#: In what cases a problem is answered. HTTP's own phrases differ between versions of Python.
_MEANING = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read",
    HTTPStatus.UNAUTHORIZED: "A token is set, and the request does not bear it",
    HTTPStatus.FORBIDDEN: "Some addresses alone may ask, and this is none of them",
    HTTPStatus.NOT_FOUND: "There is no such thing, or not yet",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is compressed",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value cannot be used; the detail names it",
    HTTPStatus.SERVICE_UNAVAILABLE: "It cannot be answered now",
}
#: Where the Open Inference Protocol is spoken.
TENSORS = "/v2/"
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def problem(status: HTTPStatus, detail: str, reason: str | None = None, path: str = "") -> JSONResponse:
    """Return a problem as the answer to what was asked of ``path``."""
    return _response(Problem.of(status, detail, reason), path)


def _response(told: Problem, path: str = "") -> JSONResponse:
    """Return a problem as the answer to what was asked of ``path``; the Open Inference Protocol looks for ``error``."""
    document = told.model_dump(exclude_none=True)
    if path.startswith(TENSORS):
        document["error"] = told.detail
    return JSONResponse(document, status_code=told.status, media_type=PROBLEM_TYPE)


def answers(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that a route may answer."""
    return {status.value: answer_of(status) for status in statuses}


def answer_of(status: HTTPStatus) -> dict[str, Any]:
    """Return the OpenAPI entry of a problem; :mod:`edge.http.document` adds the schema that it names."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _MEANING[status], "content": {PROBLEM_TYPE: {"schema": schema}}}


def install(app: FastAPI, max_body_bytes: int, max_tensor_bytes: int) -> None:
    """Translate every error of ``app``, and refuse larger bodies before they are read whole.

    ``max_tensor_bytes`` is for what is sent under :data:`TENSORS`.
    """

    @app.exception_handler(RequestError)
    @app.exception_handler(PayloadError)
    @app.exception_handler(ModelError)
    async def unusable(request: Request, error: RequestError | PayloadError | ModelError) -> JSONResponse:
        return _response(problem_of(error), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["loc"] == ("body",) or first["type"] == "json_invalid":
            cure = "send the readings as JSON, with the header content-type: application/json"
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the body: {first['msg']}: {cure}")
        return _response(unfit({**first, "loc": first["loc"][1:]}))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        answer = _response(Problem.of(HTTPStatus(error.status_code), str(error.detail)), request.url.path)
        answer.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["allow"] = ", ".join(sorted(_methods(request)))
        return answer

    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes, max_tensor_bytes=max_tensor_bytes)


def _methods(request: Request) -> set[str]:
    """Return what may be asked of a path; each method of it is a route of its own, maybe in a router of several."""
    return {
        method
        for method in _METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }


class BodyLimit:
    """Answers 413 to a body of more than ``max_body_bytes``, or ``max_tensor_bytes``, whether announced or not."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, max_tensor_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_tensor_bytes = max_tensor_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a request's body up to the limit, and hand on the request with it."""
        if scope["type"] != "http" or scope["method"] not in {"POST", "PUT", "PATCH"}:
            await self._app(scope, receive, send)
            return
        most = self._max_tensor_bytes if scope["path"].startswith(TENSORS) else self._max_body_bytes
        refused = _response(too_large(most), scope["path"])
        if int(Headers(scope=scope).get("content-length", 0)) > most:  # the server let no other than a number in
            await refused(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > most:
                await refused(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        await self._app(scope, _once(bytes(body), receive), send)


def _once(body: bytes, after: Callable[[], Awaitable[Message]]) -> Receive:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await after()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
