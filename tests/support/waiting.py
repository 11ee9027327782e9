"""Waiting for a condition, never for a length of time."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_S = 0.005


def wait_until(condition: Callable[[], object], what: str | Callable[[], str], timeout_s: float = 10.0) -> None:
    """Return as soon as ``condition()`` is true; fail with ``what`` where it is not within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            msg = f"waited {timeout_s:g} s in vain for {what if isinstance(what, str) else what()}"
            raise TimeoutError(msg)
        time.sleep(PAUSE_S)
