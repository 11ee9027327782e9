"""Exponential backoff between connection attempts."""

from __future__ import annotations

import random
import time

_FIRST_S, _LONGEST_S, _FACTOR = 0.25, 4.0, 2.0
#: Wait when another client uses the same client id.
_CONTENDED_S = 30.0
#: A connection that lasted this long counts as successful.
_LASTING_S = 5.0


class Backoff:
    """Doubles from 0.25 s to 4 s, minus up to a quarter of jitter, so that a fleet does not reconnect in step.

    A connection that did not last counts as a failure, so the attempts also become rarer with a broker that accepts a
    client and disconnects it again.
    """

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._due_s = 0.0
        self._connected_s: float | None = None

    def wait_s(self) -> float:
        """Return the seconds until the next attempt is due."""
        return max(0.0, self._due_s - time.monotonic())

    def failed(self) -> None:
        """Record that an attempt failed or the connection ended."""
        now_s = time.monotonic()
        lasted = self._connected_s is not None and now_s - self._connected_s >= _LASTING_S
        self._connected_s = None
        self._delay_s = _FIRST_S if lasted else min(_LONGEST_S, max(_FIRST_S, self._delay_s * _FACTOR))
        self._due_s = now_s + self._delay_s * random.uniform(0.75, 1.0)  # noqa: S311 - spread, not secrecy

    def contended(self) -> None:
        """Record that another client has the same client id: wait long, so that the two do not alternate quickly."""
        self._delay_s = _CONTENDED_S
        self._due_s = time.monotonic() + _CONTENDED_S * random.uniform(0.5, 1.0)  # noqa: S311 - spread

    def succeeded(self) -> None:
        """Record an accepted connection: if it lasts, the next failure starts again from the shortest wait."""
        self._connected_s = time.monotonic()
