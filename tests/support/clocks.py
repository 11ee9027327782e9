"""Clocks that a test moves, in place of a module's ``time``."""

from __future__ import annotations


class HandClock:
    """Replaces ``time`` in a module that reads :func:`time.monotonic`; stands still until the test moves it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s
