"""A house with a meter, whose headroom a consumer acts on."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.test_stream import reading
from tests.support.clocks import coming_midnight
from tests.support.peers import Peer
from tests.support.waiting import wait_until

#: A consumer subscribes some time after its start: the number of readings, and the time to act on each.
N_TRIES, TRY_S = 12, 2.0


class MeteredHouse:
    """One device: its readings, minute by minute from midnight, and the headroom after each."""

    def __init__(self, peer: Peer, name: str = "home") -> None:
        self._peer, self._name, self._n_minutes, self._n_numbers = peer, name, 0, 0
        self._first_minute = coming_midnight()
        for topic in ("headroom_w", "max_power_w", "demand"):
            peer.subscribe(f"gap/{name}/{topic}")
        self._send(0.3)  # the first has no forecast, and no demand

    @property
    def next_minute(self) -> int:
        """The minute of the next reading, since the epoch."""
        return self._first_minute + self._n_minutes

    def _send(self, power_kw: float) -> None:
        self._peer.send(f"gap/{self._name}/reading", reading(self.next_minute, power_kw))
        self._n_minutes += 1

    def measure(self, power_kw: float) -> int:
        """Send the reading of the next minute; return the headroom after it, W."""
        self._send(power_kw)
        self._n_numbers += 1
        self._peer.wait_for(f"gap/{self._name}/max_power_w", self._n_numbers)
        return int(self._peer.wait_for(f"gap/{self._name}/headroom_w", self._n_numbers)[-1].payload)

    def measure_until(self, power_kw: float, has_acted: Callable[[], object], what: str) -> int:
        """Send readings until the consumer has acted; return the newest headroom, W."""
        for _ in range(N_TRIES):
            headroom_w = self.measure(power_kw)
            try:
                wait_until(has_acted, what, TRY_S)
            except TimeoutError:
                continue
            return headroom_w
        msg = f"not {what} after {N_TRIES} readings"
        raise TimeoutError(msg)
