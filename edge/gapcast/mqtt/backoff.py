"""How long to wait before trying the broker again."""

from __future__ import annotations

import random
import time

_FIRST_S, _LONGEST_S, _FACTOR = 0.25, 4.0, 2.0
#: Two clients of one client id: each comes back only after about so long.
_CONTENDED_S = 30.0
#: A connection that lasted this long was a good one.
_LASTING_S = 5.0


class Backoff:
    """Doubles from a quarter of a second to four, with up to a quarter off, so that a fleet does not march in step.

    A connection that did not last counts as a failure: a broker that lets a client in and throws it
    out again is asked ever more rarely too.
    """

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._due_s = 0.0
        self._connected_s: float | None = None

    def wait_s(self) -> float:
        """Return the seconds until the next try is due."""
        return max(0.0, self._due_s - time.monotonic())

    def failed(self) -> None:
        """Note that a try failed, or that the connection ended."""
        now_s = time.monotonic()
        lasted = self._connected_s is not None and now_s - self._connected_s >= _LASTING_S
        self._connected_s = None
        self._delay_s = _FIRST_S if lasted else min(_LONGEST_S, max(_FIRST_S, self._delay_s * _FACTOR))
        self._due_s = now_s + self._delay_s * random.uniform(0.75, 1.0)  # noqa: S311 - spread, not secrecy

    def contended(self) -> None:
        """Note that another client has the same client id: wait long, or the two throw each other out at speed."""
        self._delay_s = _CONTENDED_S
        self._due_s = time.monotonic() + _CONTENDED_S * random.uniform(0.5, 1.0)  # noqa: S311 - spread

    def succeeded(self) -> None:
        """Note that the broker let us in: if that lasts, the next failure starts from the shortest wait again."""
        self._connected_s = time.monotonic()
