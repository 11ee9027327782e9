"""Restricts access to clients in allowed networks."""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http.errors import problems
from gapcast.http.guards.change_guard import is_from_own_address
from gapcast.http.guards.ip_networks import Networks, is_in

#: Loopback: this machine's health check, and a proxy on it.
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


class IpAllowlist:
    """Rejects clients outside ``networks`` and this machine with 403."""

    def __init__(self, app: ASGIApp, networks: Networks) -> None:
        self._app = app
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests of allowed clients."""
        if not self._is_allowed(scope):
            detail = "this address is not allowed: add it to http.allow_from of the gateway"
            await problems.problem(HTTPStatus.FORBIDDEN, detail, path=scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        host = (scope["client"] or ("", 0))[0]
        return host in _LOOPBACK or is_in(host, self._networks) or is_from_own_address(scope)
