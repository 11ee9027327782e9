"""TCP options that detect a dead connection within about ten seconds.

A pulled cable sends no FIN. TCP retransmits at growing intervals: after an outage of a minute, up to half a minute
passes before the next attempt, and MQTT's keep-alive takes as long. So a connection is closed when sent data stays
unacknowledged for ten seconds or, if nothing was sent, when a few probes do; then a new one is tried every few seconds.
"""

from __future__ import annotations

import socket

_DEAD_AFTER_S = 10
_IDLE_S, _PROBE_EVERY_S = 5, 2
_N_PROBES = 3
#: Names differ between Linux and other systems; options that a system lacks are skipped.
_OPTIONS = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_NODELAY", socket.IPPROTO_TCP, 1),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, _DEAD_AFTER_S * 1_000),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, _IDLE_S),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, _PROBE_EVERY_S),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, _N_PROBES),
)


def set_tcp_options(connection: socket.socket) -> None:
    """Disable Nagle's algorithm, and detect a dead connection within about ten seconds."""
    for name, level, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(level, option, value)
