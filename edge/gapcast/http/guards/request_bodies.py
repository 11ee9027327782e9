"""Request bodies: media types, maximum size, and the memory of all bodies together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapcast.api.predict_answer import JSON_TYPE, too_large
from gapcast.http.errors import problems
from gapcast.http.guards.change_guard import is_computation
from gapcast.http.guards.token_guard import OPEN_PATHS

BINARY_TYPE = "application/octet-stream"
#: Header with the length of the JSON in a body of the Open Inference Protocol; the rest is tensors.
JSON_LENGTH = "inference-header-content-length"
#: Maximum number of concurrent computations of the Open Inference Protocol and of all other routes: each may take some
#: megabytes, and more are no faster on the few cores of a gateway.
_N_CONCURRENT_TENSORS, _N_CONCURRENT = 2, 4
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_BUSY = "the bodies of other requests use all memory reserved for them (http.max_total_body_bytes): try again"
_RETRY_AFTER_S = 2


class BodyTypes:
    """Rejects compressed bodies, and those of unsupported media types, with 415.

    The types are checked so that a form of another site cannot reach a route.
    Stock clients of the Open Inference Protocol send no media type; browsers without one still send their origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests with a supported media type."""
        path, headers = scope["path"], Headers(scope=scope)
        encoding = headers.get("content-encoding", "").strip().lower()
        if scope["method"] in _WITH_BODY and encoding not in {"", "identity"}:
            detail = f"content-encoding: {encoding[:40]!r} is not supported: send the body without compression"
            await problems.problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, path=path)(scope, receive, send)
            return
        if scope["method"] == "POST" and is_computation(path):
            media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            is_tensor = path.startswith(problems.TENSORS)
            supported = (JSON_TYPE, BINARY_TYPE) if is_tensor else (JSON_TYPE,)
            is_browser = "origin" in headers or "sec-fetch-site" in headers
            if media_type not in supported and not (is_tensor and not media_type and not is_browser):
                detail = f"send the header content-type: {' or '.join(supported)}, not {media_type[:40]!r}"
                answer = problems.problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, path=path)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Reads the complete body before passing a request on, within limits.

    Rejects bodies of more than ``max_body_bytes`` (``max_tensor_bytes`` under ``/v2/``), announced or not, with 413,
    and requests beyond ``max_total_bytes`` of all bodies being received or handled with 503.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, max_tensor_bytes: int, max_total_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_tensor_bytes = max_tensor_bytes
        self._n_bytes_left = max(max_total_bytes, max_body_bytes, max_tensor_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, and pass on the request with it."""
        if scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_tensor_bytes if scope["path"].startswith(problems.TENSORS) else self._max_body_bytes
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or len(length) > len(str(max_bytes)) + 1 or int(length) > max_bytes:
            await problems.response_of(too_large(max_bytes), scope["path"])(scope, receive, send)
            return
        body = bytearray()
        n_read = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                part = message.get("body", b"")
                if len(body) + len(part) > max_bytes:
                    await problems.response_of(too_large(max_bytes), scope["path"])(scope, receive, send)
                    return
                if len(part) > self._n_bytes_left:
                    await problems.unavailable(_BUSY, _RETRY_AFTER_S, scope["path"])(scope, receive, send)
                    return
                self._n_bytes_left -= len(part)
                n_read += len(part)
                body += part
                if not message.get("more_body", False):
                    break
            whole = bytes(body)
            body.clear()
            await self._app(scope, _once(whole, receive), send)
        finally:
            self._n_bytes_left += n_read


class ComputeLimit:
    """Limits concurrent computations, except health checks; further requests wait.

    A computation lasts until its response begins, so a client that does not read occupies no slot.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tensors, self._others = asyncio.Semaphore(_N_CONCURRENT_TENSORS), asyncio.Semaphore(_N_CONCURRENT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request when a slot is free."""
        path = scope["path"]
        if path in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        slots = self._tensors if path.startswith(problems.TENSORS) else self._others
        await slots.acquire()
        is_held = True

        def release() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                slots.release()

        async def send_and_release(message: Message) -> None:
            release()
            await send(message)

        try:
            await self._app(scope, receive, send_and_release)
        finally:
            release()


def _once(body: bytes, after: Callable[[], Awaitable[Message]]) -> Receive:
    is_sent = False

    async def receive() -> Message:
        nonlocal is_sent
        if is_sent:
            return await after()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
