"""Errors as ``application/problem+json`` (RFC 9457): the only place that knows status codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.core.errors import PayloadError, RequestError

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong, for people (``detail``) and programs (``status``, ``reason``)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reason: str | None = Field(default=None, description="A fixed word for the kind of problem, where there is one")


def problem(status: HTTPStatus, detail: str, reason: str | None = None) -> JSONResponse:
    """Return a problem as an answer."""
    body = Problem(title=status.phrase, status=status, detail=detail, reason=reason)
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

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> JSONResponse:
        answer = problem(HTTPStatus(error.status_code), str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    app.add_middleware(BodyLimit, max_body_bytes=max_body_bytes)


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
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._max:
                detail = f"the body has more than {self._max} bytes"
                await problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)(scope, receive, send)
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
