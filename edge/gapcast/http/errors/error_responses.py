"""The outermost middleware: the client always gets a response, and caches do not store it by default."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gapcast.core.monitoring.statistics import Statistics
from gapcast.http.errors import problems
from gapcast.service.containment import INTERNAL_ERROR, record_internal_error

_NO_STORE = (b"cache-control", b"no-store")


class ErrorResponses:
    """Answers 500 if a route raises, and adds ``cache-control: no-store`` unless a response sets its own."""

    def __init__(self, app: ASGIApp, statistics: Statistics) -> None:
        self._app = app
        self._statistics = statistics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the request."""
        if scope["type"] != "http":  # not sent by the server; the layers inside read what only HTTP requests have
            return
        has_started = False

        async def send_unstored(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                headers = message.setdefault("headers", [])
                if not any(name == b"cache-control" for name, _ in headers):
                    message["headers"] = [*headers, _NO_STORE]
            await send(message)

        try:
            await self._app(scope, receive, send_unstored)
        except Exception as error:  # also MemoryError and OSError: the server must keep running
            record_internal_error(self._statistics, "http", error, f"{scope['method']} {_route_of(scope)}")
            if not has_started:  # otherwise uvicorn closes the connection
                answer = problems.problem(
                    HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_ERROR, "internal_error", scope["path"]
                )
                await answer(scope, receive, send_unstored)


def _route_of(scope: Scope) -> str:
    """Return the declared path of the route; the request's path if no route matched."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", scope["path"]))[:80]
