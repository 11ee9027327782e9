"""Notifies systemd (sd_notify): ready, alive, stopping, and a status line for ``systemctl status``.

The protocol is a datagram of a few lines to the socket in ``NOTIFY_SOCKET``, so no dependency is needed.
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
#: Notifications per watchdog interval, so that one slow iteration does not trigger the watchdog.
_PER_WATCHDOG = 4
#: Longest interval between two status lines.
_STATUS_EVERY_S = 10.0


class Notifier:
    """Notifies the supervisor of this process, if there is one.

    It has no thread or timer: the stream itself calls :meth:`alive`, so the notifications stop if the service hangs,
    and the watchdog restarts it.
    """

    def __init__(
        self, address: str = "", watchdog_s: float | None = None, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Notify the Unix datagram socket at ``address`` (leading ``@``: an abstract one); empty: none.

        ``watchdog_s`` is the watchdog's timeout; None: no watchdog.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every_s = _STATUS_EVERY_S if watchdog_s is None else min(_STATUS_EVERY_S, watchdog_s / _PER_WATCHDOG)
        self._alive = "" if watchdog_s is None else "WATCHDOG=1\n"
        self._now_s = now_s
        self._due_s = 0.0
        self._stopping = False
        self._warned = False
        # Opened once, so that notifications work even when no more files can be opened.
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            weakref.finalize(self, self._socket.close)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], pid: int | None = None) -> Notifier:
        """Return the notifier configured by ``environment``, for the watchdog of ``pid`` (default: this process)."""
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        watchdog_pid = environment.get("WATCHDOG_PID", "")
        is_ours = watchdog_pid in {"", str(os.getpid() if pid is None else pid)}
        is_watched = watchdog_us.isdecimal() and int(watchdog_us) > 0 and is_ours
        return cls(environment.get("NOTIFY_SOCKET", ""), int(watchdog_us) / _US_PER_S if is_watched else None)

    @property
    def is_due(self) -> bool:
        """Whether :meth:`alive` would send anything."""
        return bool(self._address) and self._now_s() >= self._due_s

    def ready(self, status: str) -> None:
        """Notify that the service is ready."""
        self._notify(f"READY=1\nSTATUS={status}\n")

    def alive(self, status: Callable[[], str]) -> None:
        """Notify that the service is alive, with its status; rate-limited, however often it is called."""
        if not self.is_due:
            return
        self._due_s = self._now_s() + self._every_s
        self._notify(f"{self._alive}STATUS={status()}\n")

    def stopping(self) -> None:
        """Notify of a requested stop; no effect the second time."""
        if not self._stopping:
            self._stopping = True
            self._notify("STOPPING=1\nSTATUS=finishing what is queued\n")

    def _notify(self, lines: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(lines.encode(), self._address)
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "systemd.notify_failed", problem=str(error), fix="check that the socket of NOTIFY_SOCKET exists"
                )
