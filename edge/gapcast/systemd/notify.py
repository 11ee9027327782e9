"""Tells systemd how the service fares (sd_notify): ready, alive, stopping, and a sentence for ``systemctl status``.

A datagram of a few lines to the socket that ``NOTIFY_SOCKET`` names is the whole protocol, so it stands here rather
than in a dependency.
"""

from __future__ import annotations

import os
import socket
import time
import weakref
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger(__name__)

_US_PER_S = 1_000_000
#: Told so many times within the watchdog's time: a turn that takes a while is no death.
_TIMES_A_WATCHDOG = 4
#: How often the sentence is told where no watchdog asks for more.
_STATUS_EVERY_S = 10.0


class Notifier:
    """Speaks to whoever supervises this process; to no one where no one asked.

    There is no thread and no timer in it: :meth:`alive` is called by what is to be alive, so a service that hangs falls
    silent by itself, and is started anew when the watchdog's time is over.
    """

    def __init__(
        self, address: str = "", watchdog_s: float | None = None, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Tell the Unix datagram socket at ``address`` (``@`` first: an abstract one); empty: no one.

        ``watchdog_s`` is the longest silence that is taken for life; None: no one minds.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every_s = _STATUS_EVERY_S if watchdog_s is None else min(_STATUS_EVERY_S, watchdog_s / _TIMES_A_WATCHDOG)
        self._alive = "" if watchdog_s is None else "WATCHDOG=1\n"
        self._now_s = now_s
        self._due_s = 0.0
        self._stopping = False
        self._warned = False
        # Opened now, and not each time: the watchdog is fed also where no file can be opened any more.
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            weakref.finalize(self, self._socket.close)

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int | None = None) -> Notifier:
        """Return what ``environment`` asks for; ``pid`` (default: ours) is whose life the watchdog is for."""
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        whose = environment.get("WATCHDOG_PID", "")
        ours = whose in {"", str(os.getpid() if pid is None else pid)}
        watched = watchdog_us.isdecimal() and int(watchdog_us) > 0 and ours
        return cls(environment.get("NOTIFY_SOCKET", ""), int(watchdog_us) / _US_PER_S if watched else None)

    def ready(self, status: str) -> None:
        """Tell that it serves from now on."""
        self._tell(f"READY=1\nSTATUS={status}\n")

    def alive(self, status: Callable[[], str]) -> None:
        """Tell that it lives, and how it fares; a few times within the watchdog's time, however often it is called."""
        if not self._address or self._now_s() < self._due_s:
            return
        self._due_s = self._now_s() + self._every_s
        self._tell(f"{self._alive}STATUS={status()}\n")

    def stopping(self) -> None:
        """Tell that it ends as it was told to; no effect the second time."""
        if not self._stopping:
            self._stopping = True
            self._tell("STOPPING=1\nSTATUS=finishing what is queued\n")

    def _tell(self, lines: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(lines.encode(), self._address)
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "systemd.not_told", problem=str(error), cure="check that the socket of NOTIFY_SOCKET exists"
                )
