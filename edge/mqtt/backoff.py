"""How long to wait before trying the broker again."""

from __future__ import annotations

import random
import time

_FIRST_S, _LONGEST_S, _FACTOR = 0.25, 4.0, 2.0


class Backoff:
    """Doubles from a quarter of a second to four, with up to a quarter off, so that a fleet does not march in step."""

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._due_s = 0.0

    def wait_s(self) -> float:
        """Return the seconds until the next try is due."""
        return max(0.0, self._due_s - time.monotonic())

    def failed(self, *, was_connected: bool) -> None:
        """Note that a try failed, or that a connection ended (``was_connected``): then the wait is the shortest."""
        self._delay_s = _FIRST_S if was_connected else min(_LONGEST_S, max(_FIRST_S, self._delay_s * _FACTOR))
        self._due_s = time.monotonic() + self._delay_s * random.uniform(0.75, 1.0)  # noqa: S311 - spread, not secrecy

    def succeeded(self) -> None:
        """Note that the broker answered: the next failure starts from the shortest wait again."""
        self._delay_s = self._due_s = 0.0
