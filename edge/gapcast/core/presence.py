"""Which devices are there and which have gone quiet, by when their readings arrive: ten bytes a device."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_FIRST_ROWS = 16
Number = TypeVar("Number", bound=np.generic)


class PresenceState(IntEnum):
    """What a device is, and what was told of it."""

    UNKNOWN = 0
    ONLINE = 1
    OFFLINE = 2


class Presence:
    """Keeps, for each row of :class:`gapcast.core.buffer.Buffers`, when it was last heard of, and what is to be told.

    Time is the caller's own monotonic clock, in seconds: a replay of the past is as present as today's readings.

    >>> presence = Presence(stale_after_s=600)
    >>> presence.record_seen([0, 1], now_s=0); presence.take_changes(10)
    [(0, True), (1, True)]
    >>> presence.record_seen([1], now_s=500); presence.mark_offline(n_rows=2, now_s=601); presence.take_changes(10)
    [(0, False)]
    """

    def __init__(self, stale_after_s: float) -> None:
        """Hold a device for gone that has not been heard of for ``stale_after_s``."""
        self._stale_after_s = stale_after_s
        self._seen_s = np.full(_FIRST_ROWS, np.nan)
        self._is = np.zeros(_FIRST_ROWS, dtype=np.int8)
        self._published = np.zeros(_FIRST_ROWS, dtype=np.int8)
        self._to_publish: deque[int] = deque()

    def record_seen(self, rows: Sequence[int], now_s: float) -> None:
        """Note that a reading came from each of ``rows``, at least one."""
        self._grow(max(rows) + 1)
        at = np.asarray(rows)
        self._seen_s[at] = now_s
        back = at[self._is[at] != PresenceState.ONLINE]
        if back.size:
            self._is[back] = PresenceState.ONLINE
            self._to_publish.extend(back.tolist())

    def mark_offline(self, n_rows: int, now_s: float) -> None:
        """Find those of ``n_rows`` that have gone quiet. One that was never heard of is given its time from now on."""
        self._grow(n_rows)
        seen_s = self._seen_s[:n_rows]
        seen_s[np.isnan(seen_s)] = now_s
        quiet = np.flatnonzero((seen_s < now_s - self._stale_after_s) & (self._is[:n_rows] != PresenceState.OFFLINE))
        self._is[quiet] = PresenceState.OFFLINE
        self._to_publish.extend(quiet.tolist())

    def take_changes(self, n_at_most: int) -> list[tuple[int, bool]]:
        """Return rows with news, whether each is there, and hold them for told."""
        told: list[tuple[int, bool]] = []
        while self._to_publish and len(told) < n_at_most:
            row = self._to_publish.popleft()
            if self._is[row] != self._published[row]:
                self._published[row] = self._is[row]
                told.append((row, bool(self._is[row] == PresenceState.ONLINE)))
        return told

    def republish_all(self) -> None:
        """Hold nothing for told: who was to remember it has forgotten."""
        self._published[:] = PresenceState.UNKNOWN
        self._to_publish = deque(np.flatnonzero(self._is).tolist())

    def is_online(self, row: int) -> bool | None:
        """Tell whether ``row`` is there; None where that is not known yet."""
        state = self._is[row] if row < len(self._is) else PresenceState.UNKNOWN
        return None if state == PresenceState.UNKNOWN else bool(state == PresenceState.ONLINE)

    def forget(self, row: int) -> None:
        """Know nothing of ``row`` any more."""
        if row < len(self._is):
            self._seen_s[row], self._is[row], self._published[row] = (
                np.nan,
                PresenceState.UNKNOWN,
                PresenceState.UNKNOWN,
            )

    def _grow(self, n_rows: int) -> None:
        while n_rows > len(self._is):
            self._seen_s = np.concatenate([self._seen_s, np.full(len(self._seen_s), np.nan)])
            self._is, self._published = _grown(self._is), _grown(self._published)


def _grown(rows: NDArray[Number]) -> NDArray[Number]:
    return np.concatenate([rows, np.zeros_like(rows)])
