"""A clock that a test moves."""

from __future__ import annotations

import time


def coming_minute(multiple_of: int) -> int:
    """Return the first minute to come, since the epoch, that is a multiple of so many: 60 for a full hour.

    Demands of readings from then on have not expired: they are as those of a meter whose clock is ahead.
    """
    return (int(time.time()) // (60 * multiple_of) + 1) * multiple_of


class ManualClock:
    """Stands still until the test moves it: for code that is given a clock, or in place of a module's ``time``."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s
