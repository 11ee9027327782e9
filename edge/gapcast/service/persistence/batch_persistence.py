"""Connects the persistence of batches to the stream: captures the state of the link and the running engine."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.snapshots.state_changes import ForgottenDevice, StateChange
from gapcast.core.streams.accepted_batch import none_accepted
from gapcast.service.batches.served_batch import ServedBatch
from gapcast.service.persistence.persistence import StatePersistence, StateStore
from gapcast.service.ports.broker_link import Link
from gapcast.service.running_engine import RunningEngine

#: The state of more tracked devices is copied before it is written, because the kernel may take longer to accept the
#: data if it waits for a slow disk. A smaller state is not copied: then memory is more likely to be short.
MAX_TRACKED_NOT_COPIED = 2_000


class BatchPersistence:
    """Tracks batches, samples and changes, and acknowledges persisted messages."""

    def __init__(
        self,
        link: Link,
        running: RunningEngine,
        store: StateStore,
        changes: deque[StateChange],
        is_clearing: Callable[[], bool],
    ) -> None:
        """Persist in ``store`` the batches of ``link`` and the ``changes`` that other threads append.

        ``is_clearing`` returns whether retained messages of forgotten devices may be at the broker: until then only the
        journal names these devices.
        """
        self._link = link
        self._running = running
        #: Changes that other threads made since :meth:`add_changes`.
        self.changes = changes
        #: The batches that are not persisted yet, and the store.
        self.state = StatePersistence(store, self._snapshot, is_clearing)
        self._last_persisted = 0

    def add_batch(self, batch: ServedBatch) -> None:
        """Track ``batch``, whose forecasts are published; set its number."""
        issued_at_ms, samples = batch.forecasts.issued_at_ms, self._link.meters.take_samples()
        batch.number = self.state.add_batch(batch.readings, batch.accepted, issued_at_ms, batch.forecast_ids, samples)

    def add_samples(self) -> None:
        """Track that the clock closed minutes, if no message arrived with them."""
        if samples := self._link.meters.take_samples():
            self.state.add_batch([], none_accepted([]), time.time_ns() // 1_000_000, [], samples)

    def add_changes(self) -> None:
        """Track the changes by other threads, between the previous and the next batch."""
        while self.changes:
            change = self.changes.popleft()
            if isinstance(change, ForgottenDevice):
                self._link.meters.forget(change.device)
            self.state.add_change(change)

    def persist_confirmed(self, *, between_batches: bool = True) -> None:
        """Persist, and then acknowledge, the batches that the broker has confirmed."""
        number = self.state.persist_confirmed(self._link.has_confirmed, between_batches=between_batches)
        if number != self._last_persisted:
            self._link.mark_persisted(number)
            self._last_persisted = number

    def close(self) -> None:
        """Close the store, with a snapshot if all batches are confirmed."""
        self.state.close()

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        """Yield the state. The engine is locked until the state is written or copied."""
        with self._running.lock:
            engine = self._running.engine
            n_tracked = min(len(engine.buffers), engine.horizons.main.n_tracked)
            copies = n_tracked > MAX_TRACKED_NOT_COPIED
            yield capture_snapshot(engine, self._link.meters.capture_state(), copies=copies)
