"""A rate limit (token bucket): a flooding source must not flood logs or subscribers in turn."""

from __future__ import annotations

#: Default burst after a quiet time, in seconds' worth of the rate.
_BURST_S = 10.0


class Budget:
    """Allows ``per_s`` events a second, and a burst of ``at_once`` after a quiet time (None: ten seconds' worth).

    >>> budget = Budget(per_s=2, now_s=0.0)
    >>> [budget.spend(0.0) for _ in range(22)].count(True), budget.spend(0.5), budget.spend(0.75)
    (20, True, False)
    >>> budget.take_omitted(), budget.take_omitted()
    (3, 0)
    """

    __slots__ = ("_burst", "_left", "_omitted", "_per_s", "_since_s")

    def __init__(self, per_s: float, now_s: float, at_once: float | None = None) -> None:
        self._per_s = per_s
        self._left = self._burst = per_s * _BURST_S if at_once is None else at_once
        self._since_s = now_s
        self._omitted = 0

    def spend(self, now_s: float) -> bool:
        """Return whether one more event is allowed now, and count it."""
        self._left = min(self._burst, self._left + (now_s - self._since_s) * self._per_s)
        self._since_s = now_s
        if self._left < 1:
            self._omitted += 1
            return False
        self._left -= 1
        return True

    def take_omitted(self) -> int:
        """Return how many events were not allowed since the last call."""
        omitted, self._omitted = self._omitted, 0
        return omitted
