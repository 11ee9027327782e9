"""A connection that is cut without a word: the system is told to notice, since nothing else would.

Where a cable is pulled there is no FIN. What was sent is sent again, ever more rarely: after a minute's
cut up to half a minute passes before TCP tries once more, and MQTT's keep-alive takes as long. So a
connection is given up when what was sent stays unanswered for ten seconds, or, where nothing was sent, a
few probes do; then a new one is tried every few seconds.
"""

from __future__ import annotations

import socket

_DEAD_AFTER_S = 10
_IDLE_S, _PROBE_EVERY_S = 5, 2
_N_PROBES = 3
#: By the names that Linux and the other systems have for it; what a system has not is left out.
_OPTIONS = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_NODELAY", socket.IPPROTO_TCP, 1),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, _DEAD_AFTER_S * 1_000),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, _IDLE_S),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, _PROBE_EVERY_S),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, _N_PROBES),
)


def set_tcp_options(connection: socket.socket) -> None:
    """Let a TCP connection send at once, and end within about ten seconds of the network's end."""
    for name, level, value in _OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(level, option, value)
