"""A clock that a test moves."""

from __future__ import annotations

import time

from gapcast.core.time_grid import DAY_MIN

#: Demands of readings from the coming midnight on expire no earlier than this: a busy machine has time for a test.
_MARGIN_MIN = 30


def coming_midnight() -> int:
    """Return the first midnight in UTC that is at least half an hour ahead, in minutes since the epoch.

    Demands of readings from then on have not expired: they are as those of a meter whose clock is ahead. Tests always
    begin at the same time of day, since forecasts depend on it.
    """
    return ((int(time.time()) // 60 + _MARGIN_MIN) // DAY_MIN + 1) * DAY_MIN


class ManualClock:
    """Stands still until the test moves it; replaces a clock argument, or a module's ``time``."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s
