"""A clock that a test moves."""

from __future__ import annotations


class ManualClock:
    """Stands still until the test moves it: for code that is given a clock, or in place of a module's ``time``."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s
