"""A clock that a test moves."""

from __future__ import annotations

import time

#: Demands of readings from a coming minute on expire no earlier than this, so that a busy machine has time for a test.
_MARGIN_MIN = 30


def coming_minute(multiple_of: int) -> int:
    """Return a future minute since the epoch that is a multiple of ``multiple_of``: 60 for a full hour.

    It is the first one that is at least half an hour ahead. Demands of readings from then on have not expired: they are
    as those of a meter whose clock is ahead.
    """
    return ((int(time.time()) // 60 + _MARGIN_MIN) // multiple_of + 1) * multiple_of


class ManualClock:
    """Stands still until the test moves it; replaces a clock argument, or a module's ``time``."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s
