"""A rate limit (token bucket), so that a flooding source does not flood logs or subscribers."""

from __future__ import annotations

#: Default burst after a quiet time, as seconds at the full rate.
_BURST_S = 10.0


class TokenBucket:
    """Allows ``per_s`` events per second, and a burst of ``at_once`` after a quiet time (None: ten seconds' worth).

    >>> bucket = TokenBucket(per_s=2, now_s=0.0)
    >>> [bucket.try_consume(0.0) for _ in range(22)].count(True), bucket.try_consume(0.5), bucket.try_consume(0.75)
    (20, True, False)
    >>> bucket.pop_suppressed_count(), bucket.pop_suppressed_count()
    (3, 0)
    """

    __slots__ = ("_burst", "_left", "_n_suppressed", "_per_s", "_since_s")

    def __init__(self, per_s: float, now_s: float, at_once: float | None = None) -> None:
        self._per_s = per_s
        self._left = self._burst = per_s * _BURST_S if at_once is None else at_once
        self._since_s = now_s
        self._n_suppressed = 0

    def try_consume(self, now_s: float) -> bool:
        """Return whether one more event is allowed now, and count it."""
        self._left = min(self._burst, self._left + (now_s - self._since_s) * self._per_s)
        self._since_s = now_s
        if self._left < 1:
            self._n_suppressed += 1
            return False
        self._left -= 1
        return True

    def pop_suppressed_count(self) -> int:
        """Return the number of events that were not allowed since the last call."""
        n_suppressed, self._n_suppressed = self._n_suppressed, 0
        return n_suppressed
