"""Checks the ``Host`` header against DNS rebinding.

A hostile site can let its own name resolve to this gateway's address, which makes its page same-origin. Its requests
still carry that name as ``Host``, so only known names are served.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from gapcast.http.errors import problems
from gapcast.http.guards.token_guard import OPEN_PATHS

#: Suffixes of local names that do not exist in the public DNS: a hostile site cannot register them.
_LOCAL_DOMAINS = ("", ".local", ".lan", ".home", ".home.arpa", ".internal", ".localdomain")
_PORT = re.compile(r":\d{0,5}$")
_N_CACHED = 256
_FIX = (
    "this gateway does not answer to the name {!r}: add it to http.allowed_hosts, or use the gateway's address or "
    "host name"
)


class HostCheck:
    """Rejects requests for other host names with 421; health checks are served under any name."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str], own_names: Sequence[str]) -> None:
        self._app = app
        self.is_allowed = lru_cache(_N_CACHED)(HostNames(allowed_hosts, own_names).is_allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests for this host."""
        for name, value in scope["headers"]:
            if name == b"host" and not self.is_allowed(value.decode("latin-1")) and scope["path"] not in OPEN_PATHS:
                detail = _FIX.format(value.decode("latin-1")[:80])
                await problems.problem(HTTPStatus.MISDIRECTED_REQUEST, detail, path=scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


class HostNames:
    """The names of a host: its addresses, ``localhost``, its host name with local suffixes, and configured names."""

    def __init__(self, allowed_hosts: Sequence[str], own_names: Sequence[str] = ()) -> None:
        own = [name.lower().rstrip(".") for name in (*own_names, "localhost") if name]
        labels = {name.partition(".")[0] for name in own}
        self._names = {*own, *(label + domain for label in labels for domain in _LOCAL_DOMAINS)}
        allowed = [host.lower() for host in allowed_hosts]
        self._names.update(allowed)
        self._suffixes = tuple(host[1:] for host in allowed if host.startswith("*."))
        self._any = "*" in allowed

    def is_allowed(self, host: str) -> bool:
        """Return whether the value of a ``Host`` header, with or without a port, names this host.

        An address is always allowed: only a name can be rebound.

        >>> names = HostNames(["*.example.org"], own_names=["pi"])
        >>> [names.is_allowed(host) for host in ("10.0.0.7:8080", "[::1]", "pi.local", "a.example.org", "evil.example")]
        [True, True, True, True, False]
        """
        if self._any:
            return True
        name = _PORT.sub("", host.strip()).lower().rstrip(".")
        return name in self._names or name.endswith(self._suffixes or ("\0",)) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True
