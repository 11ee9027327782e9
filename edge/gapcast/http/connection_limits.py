"""Limits of HTTP connections: they hold before a request is known, and so before anyone is authenticated."""

from __future__ import annotations

import resource
from dataclasses import dataclass

#: No gateway needs more connections at a time; each takes a file and at most some hundred kilobytes.
_MOST_CONNECTIONS, _FEWEST_CONNECTIONS = 512, 16


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and all of them together, may take.

    ``n_reserved`` further connections beyond ``max_connections`` are accepted where all of those are busy; only health
    routes are answered there. ``max_head_bytes`` is for the request line and the headers together, and for what comes
    between the parts of a body: chunk sizes, chunk extensions and trailers. A client that reads no byte of a response
    for ``stall_timeout_s`` is disconnected; a refused one has ``linger_s`` to read why.
    """

    max_connections: int = _MOST_CONNECTIONS
    n_reserved: int = 16
    max_head_bytes: int = 32_768
    max_headers: int = 100
    max_pipelined: int = 16
    max_unsent_bytes: int = 33_554_432
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    stall_timeout_s: float = 30.0
    linger_s: float = 2.0


def default_max_connections() -> int:
    """Return half of the files that this process may open, 512 at most: the rest is for broker, models and state."""
    soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft_limit == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, soft_limit // 2))
