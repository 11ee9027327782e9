"""Waiting for a condition, never for a length of time."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Longest wait for an event that must happen, s: it ends a test that hangs, and does not test any duration.
GUARD_S = 600.0
#: The pause between two checks grows to a tenth of a second, so that checking takes little processor time.
PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.1


def wait_until(condition: Callable[[], object], what: str | Callable[[], str], timeout_s: float = GUARD_S) -> None:
    """Return as soon as ``condition()`` is true; fail with ``what`` if it is not true within ``timeout_s``."""
    began_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began_s
        if waited_s > timeout_s:
            msg = f"waited {timeout_s:g} s in vain for {what if isinstance(what, str) else what()}"
            raise TimeoutError(msg)
        time.sleep(min(max(PAUSE_S, waited_s / 20), LONGEST_PAUSE_S))
