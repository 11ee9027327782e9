"""Who may change something: no page of another site, and, without a token, no one but this machine."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http import problems
from gapcast.http.ip_networks import Networks, is_in

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: What ``Sec-Fetch-Site`` says of a page of this gateway, and of a request that no page made.
_OWN_SITES = frozenset({"same-origin", "none"})
#: Set by a proxy: the client is not the one that connected.
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_FOREIGN = "a page of another origin may not change anything: name its origin in http.cors_origins to allow it"
_NOT_LOCAL = (
    "without http.token, only clients on this machine may change anything: set http.token, or name trusted addresses "
    "in http.allow_changes_from"
)


def is_change(method: str, path: str) -> bool:
    """Tell whether a request may change something; to ask for a forecast does not.

    >>> is_change("DELETE", "/devices/home"), is_change("GET", "/devices"), is_change("POST", "/predict")
    (True, False, False)
    """
    return method not in _SAFE_METHODS and not (method == "POST" and is_question(path))


def is_question(path: str) -> bool:
    """Tell whether a POST to ``path`` computes an answer from its body, and changes nothing."""
    return path == "/predict" or (path.startswith("/v2/models/") and path.endswith("/infer"))


class CrossSiteGuard:
    """Answers 403 to changes by pages of other origins than this gateway's own and ``origins``."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what changes nothing, or may."""
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
            return False  # no browser
        # A page cannot set X-Forwarded-Host without leave (CORS), so it is a proxy's, which changed Host.
        own = {headers.get(name, "").lower() for name in ("host", "x-forwarded-host")} - {""}
        return urlsplit(origin).netloc.lower() not in own


class LocalChanges:
    """Answers 403 to changes from other machines than this one and ``networks``; where there is no token."""

    def __init__(self, app: ASGIApp, networks: Networks) -> None:
        self._app = app
        self._networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what changes nothing, or comes from where changes may."""
        if is_change(scope["method"], scope["path"]) and not self._may_change(scope):
            await problems.problem(HTTPStatus.FORBIDDEN, _NOT_LOCAL, path=scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may_change(self, scope: Scope) -> bool:
        host = (scope["client"] or ("", 0))[0]
        headers = Headers(scope=scope)
        is_direct = not any(name in headers for name in _FORWARDED)
        return is_in(host, self._networks) or (is_direct and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
