"""Errors as ``application/problem+json`` (RFC 9457): the only place that knows status codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.core.errors import ModelError, PayloadError, RequestError
from edge.http.schemas import KINDS

MEDIA_TYPE = "application/problem+json"
#: A detail may quote what came, which may be long.
_SHOWN = 240


class Problem(BaseModel):
    """What went wrong, for people (``detail``) and programs (``status``, ``reason``)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reason: str | None = Field(default=None, description="A fixed word for the kind of problem, where there is one")


def problem(status: HTTPStatus, detail: str, reason: str | None = None) -> JSONResponse:
    """Return a problem as an answer."""
    shown = detail if len(detail) <= _SHOWN else f"{detail[:_SHOWN]}…"
    body = Problem(title=status.phrase, status=status, detail=shown, reason=reason)
    return JSONResponse(body.model_dump(exclude_none=True), status_code=status, media_type=MEDIA_TYPE)


def answers(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that a route may answer."""
    return {
        status.value: {"description": status.phrase, "model": Problem, "content": {MEDIA_TYPE: {}}}
        for status in statuses
    }


def install(app: FastAPI, max_body_bytes: int) -> None:
    """Translate every error of ``app``, and refuse larger bodies before they are read whole."""

    @app.exception_handler(RequestError)
    async def unusable(_request: Request, error: RequestError) -> JSONResponse:
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    @app.exception_handler(PayloadError)
    async def unusable_value(_request: Request, error: PayloadError) -> JSONResponse:
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.detail, error.reason)

    @app.exception_handler(ModelError)
    async def failed_model(_request: Request, error: ModelError) -> JSONResponse:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["loc"] == ("body",) or first["type"] == "json_invalid":
            cure = "send the readings as JSON, with the header content-type: application/json"
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the body: {first['msg']}: {cure}")
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{_where(first['loc'])}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        answer = problem(HTTPStatus(error.status_code), str(error.detail))
        answer.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            answer.headers["allow"] = ", ".join(sorted(_methods(request)))
        return answer

    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes)


def _where(location: tuple[str | int, ...]) -> str:
    """Return a place in a request as its sender would write it.

    >>> _where(("body", "readings", 1, "timed", "ts")), _where(("body",))
    ('readings[1].ts', 'the body')
    """
    where = ""
    for part in location[1:]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif part not in KINDS:
            where += f".{part}" if where else part
    return where or "the body"


def _methods(request: Request) -> set[str]:
    """Return what may be asked of a path; each method of it is a route of its own."""
    return {
        method
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods
    }


class BodyLimit:
    """Answers 413 to a body of more than ``max_body_bytes``, whether announced or not."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a request's body up to the limit, and hand on the request with it."""
        if scope["type"] != "http" or scope["method"] not in {"POST", "PUT", "PATCH"}:
            await self._app(scope, receive, send)
            return
        too_large = problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {self._max} bytes")
        if int(Headers(scope=scope).get("content-length", 0)) > self._max:  # the server let no other than a number in
            await too_large(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._max:
                await too_large(scope, receive, send)
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
