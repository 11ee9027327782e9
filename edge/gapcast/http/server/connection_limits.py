"""Limits of HTTP connections, which apply before a request is parsed and thus before authentication."""

from __future__ import annotations

import resource
from dataclasses import dataclass

#: No gateway needs more concurrent connections; each takes a file and at most some hundred kilobytes.
_MOST_CONNECTIONS, _FEWEST_CONNECTIONS = 512, 16


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one connection, and of all of them together.

    ``n_reserved`` connections beyond ``max_connections`` are accepted if all of those are busy; they serve health
    checks only. ``max_head_bytes`` limits the request line and headers together, and the framing of a chunked body:
    chunk sizes, chunk extensions and trailers. A client that reads no byte of a response for ``stall_timeout_s`` is
    disconnected; a rejected one has ``linger_s`` to read why.
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
    """Return half of the files that this process may open, at most 512: the rest is for broker, models and state."""
    soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft_limit == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, soft_limit // 2))
