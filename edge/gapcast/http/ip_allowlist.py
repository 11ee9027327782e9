"""From where may be asked, where not everyone may."""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http import problems
from gapcast.http.ip_networks import Networks, is_in

#: This machine's own: its health check, and a proxy on it.
_OWN = frozenset({"127.0.0.1", "::1"})


class IpAllowlist:
    """Answers 403 to who asks from elsewhere than ``networks`` or this machine itself."""

    def __init__(self, app: ASGIApp, networks: Networks) -> None:
        self._app = app
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what may be asked."""
        if scope["type"] == "http" and not self._is_one(*(scope["client"] or ("", 0))):
            detail = "this address may not ask: http.allow_from of the gateway names those that may"
            await problems.problem(HTTPStatus.FORBIDDEN, detail, path=scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_one(self, host: str, _port: int) -> bool:
        return host in _OWN or is_in(host, self._networks)
