"""The pool of open HTTP connections: limits their number, evicts connections for new ones, checks timeouts."""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import Protocol

import structlog

from gapcast.http.server.connection_limits import ConnectionLimits

log = structlog.get_logger(__name__)

_LONGEST_SWEEP_INTERVAL_S = 1.0
#: A timeout is detected at most a quarter of it late.
_SWEEPS_PER_TIMEOUT = 4


class Precedence(IntEnum):
    """Which connections are evicted first when the pool is full."""

    IDLE = 0  # between requests, or with an incomplete head
    SLOW = 1  # with an incomplete body, or a response that the client does not read
    BUSY = 2  # a request is being handled: never evicted


class PooledConnection(Protocol):
    """The interface of a connection in the pool."""

    #: When it last changed its state, seconds of the loop's clock.
    since_s: float

    @property
    def precedence(self) -> Precedence:
        """The connection's precedence for eviction."""

    @property
    def n_unsent_bytes(self) -> int:
        """Bytes of responses that the client has not received."""

    def check_timeouts(self, now_s: float) -> None:
        """End the connection if a timeout has passed."""

    def abort(self) -> None:
        """Close the connection immediately."""


class ConnectionPool:
    """The connections of one server. Not thread-safe: used by the event loop only."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._connections: dict[PooledConnection, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._was_full = False  # at the last sweep, or since
        self._n_closed = 0  # for want of room, since it is full
        timeouts_s = (limits.head_timeout_s, limits.body_timeout_s, limits.stall_timeout_s, limits.linger_s)
        self._interval_s = min(_LONGEST_SWEEP_INTERVAL_S, *(timeout / _SWEEPS_PER_TIMEOUT for timeout in timeouts_s))

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def is_full(self) -> bool:
        """Whether another connection would use the reserve."""
        return len(self._connections) >= self.limits.max_connections

    def add(self, connection: PooledConnection) -> bool:
        """Add a new connection, evicting the one that has been idle longest if necessary.

        Return False if there is no room; the caller must then close the connection.
        """
        if self.is_full:
            self._make_room()
            if len(self._connections) >= self.limits.max_connections + self.limits.n_reserved:
                self._n_closed += 1
                return False
        self._connections[connection] = None
        if self._timer is None:
            self._schedule_sweep()
        return True

    def remove(self, connection: PooledConnection) -> None:
        """Remove a closed connection."""
        self._connections.pop(connection, None)

    def limit_unsent(self) -> None:
        """Close the connections with the most unsent bytes until the total is at most ``max_unsent_bytes``."""
        unsent = {connection: connection.n_unsent_bytes for connection in self._connections}
        total = sum(unsent.values())
        for connection in sorted(unsent, key=unsent.__getitem__, reverse=True):
            if total <= self.limits.max_unsent_bytes:
                return
            total -= unsent[connection]
            self._evict(connection)

    def _make_room(self) -> None:
        if not self._was_full:
            self._was_full, self._n_closed = True, 0
            log.warning("http.connections_full", connections=len(self._connections))
        ranked = ((connection.precedence, connection.since_s, connection) for connection in self._connections)
        precedence, _, first = min(ranked, key=lambda one: one[:2])
        if precedence is not Precedence.BUSY:
            self._n_closed += 1
            self._evict(first)

    def _evict(self, connection: PooledConnection) -> None:
        self.remove(connection)
        connection.abort()

    def _schedule_sweep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        if self._was_full and not self.is_full:
            self._was_full = False
            log.info("http.connections_available", n_closed=self._n_closed)
        if self._connections:
            self._schedule_sweep()
        now_s = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            connection.check_timeouts(now_s)
        self.limit_unsent()
