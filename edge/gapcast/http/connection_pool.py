"""All open HTTP connections: how many there may be, which one gives way to a new one, and when one has timed out."""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import Protocol

import structlog

from gapcast.http.connection_limits import ConnectionLimits

log = structlog.get_logger(__name__)

_LONGEST_SWEEP_INTERVAL_S = 1.0
#: A timeout is noticed after a quarter of it more, at the latest.
_SWEEPS_PER_TIMEOUT = 4


class Precedence(IntEnum):
    """Which connections give way first where there is no place for a new one."""

    IDLE = 0  # between requests, or with an incomplete head
    SLOW = 1  # with an incomplete body, or a response that the client does not read
    BUSY = 2  # a request is being handled: gives way to none


class PooledConnection(Protocol):
    """What the pool needs of a connection."""

    #: When it last changed its state, seconds of the loop's clock.
    since_s: float

    @property
    def precedence(self) -> Precedence:
        """Whether it gives way to a new connection."""

    @property
    def n_unsent_bytes(self) -> int:
        """Bytes of responses that the client has not taken."""

    def check_timeouts(self, now_s: float) -> None:
        """End the connection where a timeout has passed."""

    def abort(self) -> None:
        """Close the connection at once."""


class ConnectionPool:
    """The connections of one server; all of it belongs to the event loop that serves."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._connections: dict[PooledConnection, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        timeouts_s = (limits.head_timeout_s, limits.body_timeout_s, limits.stall_timeout_s, limits.linger_s)
        self._interval_s = min(_LONGEST_SWEEP_INTERVAL_S, *(timeout / _SWEEPS_PER_TIMEOUT for timeout in timeouts_s))

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def is_full(self) -> bool:
        """Whether a further connection would be one of the reserve."""
        return len(self._connections) >= self.limits.max_connections

    def add(self, connection: PooledConnection) -> bool:
        """Take a new connection, in place of the one that has been idle longest if need be.

        Returns whether there was a place for it; where there was none, it must be closed.
        """
        if self.is_full:
            self._make_room()
            if len(self._connections) >= self.limits.max_connections + self.limits.n_reserved:
                return False
        self._connections[connection] = None
        if self._timer is None:
            self._schedule_sweep()
        return True

    def remove(self, connection: PooledConnection) -> None:
        """Forget a connection that is closed."""
        self._connections.pop(connection, None)

    def limit_unsent(self) -> None:
        """Close the connections with most unsent bytes while all of them hold more than ``max_unsent_bytes``."""
        unsent = {connection: connection.n_unsent_bytes for connection in self._connections}
        total = sum(unsent.values())
        for connection in sorted(unsent, key=unsent.__getitem__, reverse=True):
            if total <= self.limits.max_unsent_bytes:
                return
            total -= unsent[connection]
            self._evict(connection)

    def _make_room(self) -> None:
        log.warning("http.connections_full", connections=len(self._connections))
        ranked = ((connection.precedence, connection.since_s, connection) for connection in self._connections)
        precedence, _, first = min(ranked, key=lambda one: one[:2])
        if precedence is not Precedence.BUSY:
            self._evict(first)

    def _evict(self, connection: PooledConnection) -> None:
        self.remove(connection)
        connection.abort()

    def _schedule_sweep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        if self._connections:
            self._schedule_sweep()
        now_s = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            connection.check_timeouts(now_s)
        self.limit_unsent()
