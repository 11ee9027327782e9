"""Tracks which devices are online, by the arrival time of their readings: ten bytes per device."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from gapcast.core.arrays.resized_arrays import doubled

_FIRST_ROWS = 16


class OnlineState(IntEnum):
    """The state of a device, or its last published state."""

    UNKNOWN = 0
    ONLINE = 1
    OFFLINE = 2


#: An int, because comparing an enumeration's member with numpy's numbers is slower.
_ONLINE = int(OnlineState.ONLINE)


class OnlineTracker:
    """Tracks when each row of :class:`~gapcast.core.streams.buffer.Buffers` was last seen, and unpublished changes.

    Time is the caller's monotonic clock, in seconds, so that a replay of old readings counts as online.

    >>> tracker = OnlineTracker(stale_after_s=600)
    >>> tracker.record_seen([0, 1], now_s=0); tracker.take_changes(10)
    [(0, True), (1, True)]
    >>> tracker.record_seen([1], now_s=500); tracker.mark_offline(n_rows=2, now_s=601); tracker.take_changes(10)
    [0]
    [(0, False)]
    >>> tracker.n_offline
    1
    >>> tracker.record_seen([0], now_s=602); tracker.take_returned()
    [0]
    """

    def __init__(self, stale_after_s: float) -> None:
        """Treat a device as offline after ``stale_after_s`` without a reading."""
        self._stale_after_s = stale_after_s
        self._seen_s = np.full(_FIRST_ROWS, np.nan)
        self._state = np.zeros(_FIRST_ROWS, dtype=np.int8)
        self._published = np.zeros(_FIRST_ROWS, dtype=np.int8)
        self._to_publish: deque[int] = deque()
        self._returned: dict[int, None] = {}  # used as an ordered set

    @property
    def has_changes(self) -> bool:
        """Whether :meth:`take_changes` may return a change."""
        return bool(self._to_publish)

    def is_stale(self, age_s: float) -> bool:
        """Return whether a reading of that age is too old to show that its meter works."""
        return age_s > self._stale_after_s

    def record_seen(self, rows: Sequence[int], now_s: float) -> None:
        """Record a reading in each of ``rows``, at least one row."""
        self._grow(max(rows) + 1)
        if len(rows) == 1:  # with scalars, which are faster for one row
            row = rows[0]
            self._seen_s[row] = now_s
            if self._state[row] != _ONLINE:
                self._set_online([row])
            return
        at = np.asarray(rows)
        self._seen_s[at] = now_s
        returned = at[self._state[at] != OnlineState.ONLINE]
        if returned.size:
            self._set_online(returned.tolist())

    def _set_online(self, rows: Sequence[int]) -> None:
        self._returned.update((row, None) for row in rows if self._state[row] == OnlineState.OFFLINE)
        self._state[rows] = OnlineState.ONLINE
        self._to_publish.extend(rows)

    def take_returned(self) -> list[int]:
        """Return the rows that were offline and have been seen again since the last call."""
        returned, self._returned = list(self._returned), {}
        return returned

    def postpone(self, s: float) -> None:
        """Exclude the last ``s`` seconds, in which no reading could arrive, from the age of all rows."""
        self._seen_s += s

    def mark_offline(self, n_rows: int, now_s: float, unused: Sequence[int] = ()) -> list[int]:
        """Mark stale rows among the first ``n_rows`` as offline, and return the newly marked ones.

        A row never seen before counts as seen now, except the ``unused`` ones, which have no device.
        """
        self._grow(n_rows)
        seen_s = self._seen_s[:n_rows]
        seen_s[np.isnan(seen_s)] = now_s
        if unused:
            seen_s[unused] = np.nan  # not stale: a comparison with it is false
        stale = np.flatnonzero((seen_s < now_s - self._stale_after_s) & (self._state[:n_rows] != OnlineState.OFFLINE))
        self._state[stale] = OnlineState.OFFLINE
        rows: list[int] = stale.tolist()
        self._to_publish.extend(rows)
        return rows

    def take_changes(self, n_at_most: int) -> list[tuple[int, bool]]:
        """Return up to ``n_at_most`` unpublished changes (row, whether it is online), and mark them as published."""
        changes: list[tuple[int, bool]] = []
        while self._to_publish and len(changes) < n_at_most:
            row = self._to_publish.popleft()
            if self._state[row] != self._published[row]:
                self._published[row] = self._state[row]
                changes.append((row, bool(self._state[row] == OnlineState.ONLINE)))
        return changes

    def republish_all(self) -> None:
        """Mark every known state as unpublished, because the subscriber has lost the states."""
        self._published[:] = OnlineState.UNKNOWN
        self._to_publish = deque(np.flatnonzero(self._state).tolist())

    def is_online(self, row: int) -> bool | None:
        """Return whether ``row`` is online; None if its state is unknown."""
        state = self._state[row] if row < len(self._state) else OnlineState.UNKNOWN
        return None if state == OnlineState.UNKNOWN else bool(state == OnlineState.ONLINE)

    @property
    def n_offline(self) -> int:
        """Number of offline devices."""
        return int(np.count_nonzero(self._state == OnlineState.OFFLINE))

    def forget(self, row: int) -> None:
        """Reset ``row`` to unknown."""
        self._returned.pop(row, None)
        if row < len(self._state):
            self._seen_s[row], self._state[row], self._published[row] = (
                np.nan,
                OnlineState.UNKNOWN,
                OnlineState.UNKNOWN,
            )

    def _grow(self, n_rows: int) -> None:
        while n_rows > len(self._state):
            self._seen_s = np.concatenate([self._seen_s, np.full(len(self._seen_s), np.nan)])
            self._state, self._published = doubled(self._state), doubled(self._published)
