"""Bodies of requests: their types, how large one may be, and how much memory all of them may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapcast.api.predict_answer import JSON_TYPE, too_large
from gapcast.http import problems
from gapcast.http.change_guard import is_question
from gapcast.http.guard import OPEN_PATHS

BINARY_TYPE = "application/octet-stream"
#: Bytes of JSON in the body of a request of the Open Inference Protocol; the rest is tensors.
JSON_LENGTH = "inference-header-content-length"
#: Requests that are computed at a time, of the Open Inference Protocol and of all other routes: each may take some
#: megabytes, and more at a time are no faster on the few cores of a gateway.
_N_TENSORS_AT_A_TIME, _N_AT_A_TIME = 2, 4
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_RETRY_AFTER_S = "2"


class BodyTypes:
    """Answers 415 to a body of another type than the route takes, so that no form of another site can reach it.

    Stock clients of the Open Inference Protocol name no type; a browser that does so still says where its page is from.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request whose body may be read."""
        path = scope["path"]
        if scope["method"] == "POST" and is_question(path):
            headers = Headers(scope=scope)
            given = headers.get("content-type", "").partition(";")[0].strip().lower()
            is_tensor = path.startswith(problems.TENSORS)
            taken = (JSON_TYPE, BINARY_TYPE) if is_tensor else (JSON_TYPE,)
            is_browser = "origin" in headers or "sec-fetch-site" in headers
            if given not in taken and not (is_tensor and not given and not is_browser):
                detail = f"send the header content-type: {' or '.join(taken)}, not {given[:40]!r}"
                answer = problems.problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, path=path)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimit:
    """Reads a body whole before it is handed on, within the limits.

    Answers 413 to one of more than ``max_body_bytes`` (``max_tensor_bytes`` under ``/v2/``), announced or not, and 503
    to what goes beyond ``max_total_bytes`` of all bodies that are being received or handled.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, max_tensor_bytes: int, max_total_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_tensor_bytes = max_tensor_bytes
        self._n_bytes_left = max(max_total_bytes, max_body_bytes, max_tensor_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, and hand the request on with it."""
        if scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        most = self._max_tensor_bytes if scope["path"].startswith(problems.TENSORS) else self._max_body_bytes
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or len(length) > len(str(most)) + 1 or int(length) > most:
            await problems.response_of(too_large(most), scope["path"])(scope, receive, send)
            return
        body = bytearray()
        n_taken = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                part = message.get("body", b"")
                if len(body) + len(part) > most:
                    await problems.response_of(too_large(most), scope["path"])(scope, receive, send)
                    return
                if len(part) > self._n_bytes_left:
                    await _busy(scope["path"])(scope, receive, send)
                    return
                self._n_bytes_left -= len(part)
                n_taken += len(part)
                body += part
                if not message.get("more_body", False):
                    break
            whole = bytes(body)
            body.clear()
            await self._app(scope, _once(whole, receive), send)
        finally:
            self._n_bytes_left += n_taken


class ComputeLimit:
    """Lets a few requests at a time be computed, of those that are not health; the others wait.

    A request is computed until its response begins: a client that does not read holds no place.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tensors, self._others = asyncio.Semaphore(_N_TENSORS_AT_A_TIME), asyncio.Semaphore(_N_AT_A_TIME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request when it is its turn."""
        path = scope["path"]
        if path in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        places = self._tensors if path.startswith(problems.TENSORS) else self._others
        await places.acquire()
        is_held = True

        def leave() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                places.release()

        async def send_and_leave(message: Message) -> None:
            leave()
            await send(message)

        try:
            await self._app(scope, receive, send_and_leave)
        finally:
            leave()


def _busy(path: str) -> JSONResponse:
    detail = "the bodies of other requests take all the memory that there is for them: try again"
    answer = problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, path=path)
    answer.headers["retry-after"] = _RETRY_AFTER_S
    return answer


def _once(body: bytes, after: Callable[[], Awaitable[Message]]) -> Receive:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await after()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
