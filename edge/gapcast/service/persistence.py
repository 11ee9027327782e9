"""What happens to a batch after its forecasts are sent: confirmed by the broker, then kept, then acknowledged.

In this order, so that whatever ends the process in between, a reading whose forecast the broker has not
confirmed is neither kept nor acknowledged: it comes again, is news again, and gives its forecast again.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gapcast.core.engine import Accepted
from gapcast.core.meters.samples import Sample
from gapcast.core.reading import Reading
from gapcast.core.snapshot import Snapshot

#: Longest that readings are held back for a snapshot, where the broker does not confirm; and how soon again.
_HOLD_S, _HOLD_AGAIN_S = 1.0, 30.0


class StateStore(Protocol):
    """What outlives the process, as the service sees it. Nothing here raises: see :attr:`problem`."""

    @property
    def problem(self) -> str | None:
        """Why nothing is kept at the moment, in a sentence; empty while readings are kept, None where none is to be."""
        ...

    @property
    def damage(self) -> str:
        """What was damaged when the state was restored, and what was used instead; empty where nothing was."""
        ...

    @property
    def n_bytes_written(self) -> int:
        """Bytes written since the start."""
        ...

    def keep(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> None:
        """Keep a batch whose forecasts were issued at ``issued_at_ms``; after this, a killed process has it still.

        With ``samples`` of minutes that are open, or that these readings closed.
        """
        ...

    def forget(self, device: str) -> None:
        """Keep no longer what was kept of ``device``."""
        ...

    def invalidate(self) -> None:
        """Want a snapshot soon: batches from here on are forecast by another engine than those before."""
        ...

    def maintain(self) -> bool:
        """See to what time brings; tell whether a snapshot is wanted."""
        ...

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Keep ``snapshot`` in place of all batches so far, which it holds."""
        ...

    def close(self, snapshot: Snapshot | None) -> None:
        """Keep ``snapshot``, where there is one, and end."""
        ...


class NoStateStore:
    """Implements :class:`Keeper` where nothing is to be kept."""

    problem = None
    damage = ""
    n_bytes_written = 0

    def keep(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> None:
        """Forget the batch."""

    def forget(self, device: str) -> None:
        """Have nothing of the device."""

    def invalidate(self) -> None:
        """Have no batches of before."""

    def maintain(self) -> bool:
        """Want nothing."""
        return False

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Forget the snapshot."""

    def close(self, snapshot: Snapshot | None) -> None:
        """Have nothing to end."""


class PendingBatch(NamedTuple):
    """A batch that is forecast: its readings and samples that had an effect, and the receipts of its forecasts.

    Or, in its place between two of them, a device that was forgotten.
    """

    number: int
    readings: Sequence[Reading]
    issued_at_ms: int
    receipts: Sequence[int]
    samples: Sequence[Sample] = ()
    forgotten: str | None = None


class StatePersistence:
    """Takes batches from forecast to kept, in the order they came."""

    def __init__(self, state_store: StateStore, snapshot: Callable[[], Snapshot]) -> None:
        """Keep by ``state_store``, which is given a ``snapshot`` of the engine when it wants one."""
        self.state_store = state_store
        self._snapshot = snapshot
        self._n_batches = 0
        self._under_way: deque[PendingBatch] = deque()
        self._held_since_s = math.inf

    @property
    def holds_back(self) -> bool:
        """Whether no more should be taken for a moment, so that all is confirmed, as a snapshot needs."""
        return self._held_since_s <= time.monotonic() < self._held_since_s + _HOLD_S

    def begin(
        self,
        readings: Sequence[Reading],
        accepted: Accepted,
        issued_at_ms: int,
        receipts: Sequence[int],
        samples: Sequence[Sample] = (),
    ) -> int:
        """Note a batch whose forecasts have these ``receipts``; return its number."""
        self._n_batches += 1
        kept = accepted.with_effect(readings)
        self._under_way.append(PendingBatch(self._n_batches, kept, issued_at_ms, receipts, samples))
        return self._n_batches

    def forget(self, device: str) -> None:
        """Note that a device was forgotten, after the batches so far and before the next."""
        self._n_batches += 1
        self._under_way.append(PendingBatch(self._n_batches, (), 0, (), (), device))

    def advance(self, confirmed: Callable[[Sequence[int]], bool], *, between_batches: bool = True) -> int:
        """Keep what is ``confirmed``; return the number of the last batch that is kept.

        Where it is not ``between_batches``, samples of one that has not begun are in their minutes already, and a
        snapshot must wait.
        """
        under_way = self._under_way
        while under_way and confirmed(under_way[0].receipts):
            batch = under_way.popleft()
            if batch.forgotten is not None:
                self.state_store.forget(batch.forgotten)
            elif batch.readings or batch.samples:
                self.state_store.keep(batch.readings, batch.issued_at_ms, batch.samples)
        if not self.state_store.maintain():
            self._held_since_s = math.inf
        elif not under_way and between_batches:
            self.state_store.write_snapshot(self._snapshot())
            self._held_since_s = math.inf
        elif not self._held_since_s <= (now_s := time.monotonic()) < self._held_since_s + _HOLD_AGAIN_S:
            self._held_since_s = now_s
        return under_way[0].number - 1 if under_way else self._n_batches

    def close(self) -> None:
        """End; with a snapshot where all is confirmed, so that the next start has little to replay."""
        for batch in self._under_way:
            if batch.forgotten is not None:  # the readings before it come again, and it is not for them to wait
                self.state_store.forget(batch.forgotten)
        self.state_store.close(None if self._under_way else self._snapshot())
