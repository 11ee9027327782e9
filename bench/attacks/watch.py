"""Monitors the gateway during an attack: ``/livez`` on a new connection five times a second, and memory."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass

from bench.attacks.target import AttackTarget

PROBE_EVERY_S = 0.2
_PROBE_TIMEOUT_S = 5.0


@dataclass(slots=True)
class AttackObservations:
    """Observations during an attack."""

    n_probes: int = 0
    #: Probes without an answer of 200.
    n_failed: int = 0
    #: Longest duration of a probe, ms; a probe without an answer counts with its timeout.
    longest_ms: float = 0.0
    #: Peak memory of child processes, MB.
    children_mb: float = 0.0


class Watch:
    """Probes a gateway in a thread from construction to :meth:`finish`."""

    def __init__(self, target: AttackTarget) -> None:
        """Start monitoring ``target``."""
        self._target, self._observed = target, AttackObservations()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def finish(self) -> AttackObservations:
        """Wait for the current probe and return the observations."""
        self._ended.set()
        self._thread.join()
        return self._observed

    def _run(self) -> None:
        while True:
            begin_s = time.monotonic()
            status = self._target.get("/livez", _PROBE_TIMEOUT_S)[0]
            took_s = time.monotonic() - begin_s
            seen = self._observed
            seen.n_probes += 1
            seen.n_failed += status != http.client.OK
            seen.longest_ms = max(seen.longest_ms, took_s * 1_000)
            seen.children_mb = max(seen.children_mb, self._target.children_rss_mb())
            if self._ended.wait(max(0.0, PROBE_EVERY_S - took_s)):
                return
