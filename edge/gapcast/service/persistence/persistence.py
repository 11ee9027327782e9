"""After its forecasts are published, a batch is confirmed by the broker, then persisted, then acknowledged.

The order makes a crash at any point safe: a reading whose forecast the broker has not confirmed is neither persisted
nor acknowledged, so the broker delivers it again, and it is forecast again.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import Sample
from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.core.snapshots.state_changes import StateChange
from gapcast.core.streams.accepted_batch import AcceptedBatch

#: Longest pause of the intake for a snapshot while the broker does not confirm, and shortest time between two pauses.
_PAUSE_S, _PAUSE_AGAIN_S = 1.0, 30.0


class StateStore(Protocol):
    """Persists readings across restarts. No method raises: see :attr:`problem`."""

    @property
    def problem(self) -> str | None:
        """Why the state is currently not persisted, or in the journal alone, in a sentence; empty while it is.

        None if persistence is off.
        """
        ...

    @property
    def damage(self) -> str:
        """Which restored state was damaged, and what was used instead; empty if nothing was damaged."""
        ...

    @property
    def forgotten(self) -> Sequence[str]:
        """Devices that an earlier process forgot, and whose retained messages may still be at the broker."""
        ...

    @property
    def n_bytes_written(self) -> int:
        """Bytes written since start-up."""
        ...

    def append_batch(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> None:
        """Persist a batch whose forecasts were issued at ``issued_at_ms``; it then survives a killed process.

        ``samples`` are the samples of minutes that are open or that these readings closed.
        """
        ...

    def append_change(self, change: StateChange) -> None:
        """Persist ``change``, at its position between two batches; remove the persisted state of a forgotten device."""
        ...

    def invalidate(self) -> None:
        """Request a snapshot soon, because another engine forecasts batches from here on."""
        ...

    def maintain(self) -> bool:
        """Do periodic work; return whether a snapshot is due."""
        ...

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Persist ``snapshot``, which replaces all batches so far; unless it is a copy, read it before returning."""
        ...

    def close(self, snapshot: Snapshot | None) -> None:
        """Persist ``snapshot`` if given, as :meth:`write_snapshot` does, and close the store."""
        ...


class NoStateStore:
    """Implements :class:`StateStore` and persists nothing."""

    problem = None
    damage = ""
    forgotten: Sequence[str] = ()
    n_bytes_written = 0

    def append_batch(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> None:
        """Ignore the batch."""

    def append_change(self, change: StateChange) -> None:
        """Ignore the change."""

    def invalidate(self) -> None:
        """Do nothing."""

    def maintain(self) -> bool:
        """Return False: no snapshot is wanted."""
        return False

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Ignore the snapshot."""

    def close(self, snapshot: Snapshot | None) -> None:
        """Do nothing."""


class PendingBatch(NamedTuple):
    """A forecast batch: the readings and samples that had an effect, and the ids of its forecasts.

    Or, at its position between two batches, a change other than a reading.
    """

    number: int
    readings: Sequence[Reading]
    issued_at_ms: int
    forecast_ids: Sequence[int]
    samples: Sequence[Sample] = ()
    change: StateChange | None = None


class StatePersistence:
    """Persists batches in order of arrival, once their forecasts are confirmed."""

    def __init__(
        self,
        state_store: StateStore,
        snapshot: Callable[[], AbstractContextManager[Snapshot]],
        needs_journal: Callable[[], bool],
    ) -> None:
        """Persist in ``state_store``; ``snapshot`` captures the engine, and locks it, when the store requests one.

        While it ``needs_journal``, which has what a snapshot has not, none is written.
        """
        self.state_store = state_store
        self._snapshot = snapshot
        self._needs_journal = needs_journal
        self._n_batches = 0
        self._pending: deque[PendingBatch] = deque()
        self._paused_since_s = math.inf

    @property
    def pauses_intake(self) -> bool:
        """Whether no readings should be taken for now, so that all are confirmed, which a snapshot requires."""
        paused_s = self._paused_since_s
        return paused_s < math.inf and paused_s <= time.monotonic() < paused_s + _PAUSE_S

    @property
    def has_pending(self) -> bool:
        """Whether there are batches or changes that are not persisted."""
        return bool(self._pending)

    def add_batch(
        self,
        readings: Sequence[Reading],
        accepted: AcceptedBatch,
        issued_at_ms: int,
        forecast_ids: Sequence[int],
        samples: Sequence[Sample] = (),
    ) -> int:
        """Track a batch whose forecasts have these ``forecast_ids``; return its number."""
        self._n_batches += 1
        effective = accepted.state_changing_readings(readings)
        self._pending.append(PendingBatch(self._n_batches, effective, issued_at_ms, forecast_ids, samples))
        return self._n_batches

    def add_change(self, change: StateChange) -> None:
        """Persist that ``change`` was made after the batches so far and before the next.

        It is persisted at once, because it may have been answered, and must survive a killed process while the broker
        does not confirm. If batches wait, it and the changes after it are persisted again after them: replayed in
        order, each change then has its original effect.
        """
        self._n_batches += 1
        self.state_store.append_change(change)
        if self._pending:
            self._pending.append(PendingBatch(self._n_batches, (), 0, (), change=change))

    def persist_confirmed(self, confirmed: Callable[[Sequence[int]], bool], *, between_batches: bool = True) -> int:
        """Persist the batches that are ``confirmed``; return the number of the last persisted batch.

        Unless called ``between_batches``, the open minutes may already hold samples of a batch that is not tracked yet,
        and a snapshot must wait.
        """
        pending, has_older_change = self._pending, False
        while pending and confirmed(pending[0].forecast_ids):
            batch = pending.popleft()
            if batch.change is not None:
                self.state_store.append_change(batch.change)
                has_older_change = True
            elif batch.readings or batch.samples:
                self.state_store.append_batch(batch.readings, batch.issued_at_ms, batch.samples)
        if has_older_change:
            self._append_pending_changes()  # otherwise an older change would be the last in the journal
        if not between_batches:
            pass  # the call after the batch follows at once
        elif not self.state_store.maintain():
            self._paused_since_s = math.inf
        elif not self._awaits_broker:
            with self._snapshot() as snapshot:
                self.state_store.write_snapshot(snapshot)
            self._paused_since_s = math.inf
        elif not self._paused_since_s <= (now_s := time.monotonic()) < self._paused_since_s + _PAUSE_AGAIN_S:
            self._paused_since_s = now_s
        return pending[0].number - 1 if pending else self._n_batches

    def close(self) -> None:
        """Close the store, with a snapshot if all batches are confirmed: the next start then has little to replay."""
        self._append_pending_changes()
        with nullcontext() if self._awaits_broker else self._snapshot() as snapshot:
            self.state_store.close(snapshot)

    @property
    def _awaits_broker(self) -> bool:
        """Whether a snapshot must wait: for batches, or for what only the journal has, if there is one."""
        return bool(self._pending) or (not self.state_store.problem and self._needs_journal())

    def _append_pending_changes(self) -> None:
        """Persist the pending changes again, in order, after the batches and changes persisted since."""
        for batch in self._pending:
            if batch.change is not None:
                self.state_store.append_change(batch.change)
