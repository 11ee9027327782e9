"""Restricts changes: no pages of other origins and, if no token is set, only this machine."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http.errors import problems
from gapcast.http.guards.ip_networks import Networks, is_in, is_loopback, is_same_address

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: Values of ``Sec-Fetch-Site`` for a page of this gateway, and for a request without a page.
_OWN_SITES = frozenset({"same-origin", "none"})
#: Set by a proxy: the peer is not the client.
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_FOREIGN = "a page of another origin may not change anything: name its origin in http.cors_origins to allow it"
_NOT_LOCAL = (
    "without http.token, only clients on this machine may change anything: set http.token, or name trusted addresses "
    "in http.allow_changes_from"
)


def is_change(method: str, path: str) -> bool:
    """Return whether a request may change state; requesting a forecast does not.

    >>> is_change("DELETE", "/devices/home"), is_change("GET", "/devices"), is_change("POST", "/predict")
    (True, False, False)
    """
    return method not in _SAFE_METHODS and not (method == "POST" and is_computation(path))


def is_computation(path: str) -> bool:
    """Return whether a POST to ``path`` only computes an answer from its body."""
    return path == "/predict" or (path.startswith("/v2/models/") and path.endswith("/infer"))


class CrossSiteGuard:
    """Rejects changes by pages of other origins than this gateway's own and ``origins`` with 403."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests that change nothing or are permitted."""
        if is_change(scope["method"], scope["path"]) and self._is_foreign(Headers(scope=scope)):
            answer = problems.problem(HTTPStatus.FORBIDDEN, _FOREIGN, path=scope["path"])
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if "*" in self._origins or (origin is not None and origin in self._origins):
            return False
        if site is not None:
            return site not in _OWN_SITES
        if origin is None:
            return False  # not from a browser
        # A page cannot set X-Forwarded-Host without CORS permission, so a proxy that changed Host has set it.
        own = {headers.get(name, "").lower() for name in ("host", "x-forwarded-host")} - {""}
        try:
            return urlsplit(origin).netloc.lower() not in own
        except ValueError:  # http://[
            return True


class LocalChanges:
    """Rejects changes from other machines than this one and ``networks`` with 403; used if no token is set."""

    def __init__(self, app: ASGIApp, networks: Networks) -> None:
        self._app = app
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests that change nothing or come from an allowed address."""
        if is_change(scope["method"], scope["path"]) and not self._may_change(scope):
            await problems.problem(HTTPStatus.FORBIDDEN, _NOT_LOCAL, path=scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may_change(self, scope: Scope) -> bool:
        host = (scope["client"] or ("", 0))[0]
        is_local = _is_direct(scope) and is_loopback(host)
        return is_in(host, self._networks) or is_local or is_from_own_address(scope)


def is_from_own_address(scope: Scope) -> bool:
    """Return whether the client has the address at which the request was received, and is not a proxy.

    With ``http.host`` set to an address of the network, this machine's own requests come from that address.
    """
    (client, _), (own, _) = scope["client"] or ("", 0), scope.get("server") or ("", 0)
    return is_same_address(client, own) and _is_direct(scope)


def _is_direct(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return not any(name in headers for name in _FORWARDED)
