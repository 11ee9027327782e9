"""Serves only health checks when all connections are in use, so that a supervisor sees a working process."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapcast.http.errors import problems
from gapcast.http.guards.token_guard import OPEN_PATHS

_DETAIL = "all connections of this gateway are in use: try again in a while"


def answer_health_only(app: ASGIApp) -> ASGIApp:
    """Return an application that passes health checks to ``app``, answers 503 otherwise, and closes the connection."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        refused: Any = problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, _DETAIL, path=scope["path"])
        refused.headers["retry-after"] = "5"
        await (app if scope["path"] in OPEN_PATHS else refused)(scope, receive, send_and_close)

    return answer
