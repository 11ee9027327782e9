"""The state of a bucket in Spark's state store: its engine's latest snapshot, and the journal since then."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

from gapcast.core.engine import Engine
from gapcast_fleet.buckets.engine_batches import EngineBatch, replay_batches
from gapcast_fleet.buckets.handover import handover_of
from gapcast_fleet.engine.worker import CACHE, WorkerTask, decode, encode, new_engine, state_label

#: Readings per device between snapshots: a worker without a newer state replays them.
MOST_READINGS_EACH = 20


class BucketState:
    """Restores and saves the engine of the bucket that Spark processes."""

    def __init__(self, handle: StatefulProcessorHandle, task: WorkerTask) -> None:
        """Open three of Spark's state variables.

        These are the stamp of the latest write, with the number of readings since the snapshot; the snapshot; and the
        lines of the journal.
        """
        self._task = task
        self._stamp = handle.getValueState("stamp", "stamp string, n_since long")
        self._snapshot = handle.getValueState("snapshot", "content binary")
        self._journal = handle.getListState("journal", "line binary")

    def restore(self, bucket: int) -> tuple[Engine, int | None]:
        """Return the engine of the latest write and the number of readings in its journal (None for a new bucket).

        Raises :class:`~gapcast.core.errors.StateError` if the stored state is damaged.
        """
        task = self._task
        written = self._stamp.get()
        if written is None:
            return new_engine(task), None
        stamp, n_since = written
        if task.cached_devices:
            if (engine := CACHE.pop(task.query, bucket, stamp)) is not None:
                return engine, n_since
            if (content := handover_of(task.query).get(bucket, stamp)) is not None:
                return decode(task, bucket, content), n_since
        snapshot = self._snapshot.get()
        engine = new_engine(task) if snapshot is None else decode(task, bucket, bytes(snapshot[0]))
        replay_batches(engine, (bytes(line) for (line,) in self._journal.get()), state_label(task, bucket))
        return engine, n_since

    def save(self, bucket: int, engine: Engine, batches: Sequence[EngineBatch], n_since: int | None) -> None:
        """Write the state of ``engine`` after ``batches``; ``n_since`` is from :meth:`restore`."""
        task, stamp, n_devices = self._task, uuid.uuid4().hex, len(engine.buffers)
        if n_since is None:  # spread over buckets, so that their snapshots are not all due at once
            n_since = bucket % MOST_READINGS_EACH * n_devices
        n_since += sum(len(batch.readings) for batch in batches)
        is_due = n_since >= MOST_READINGS_EACH * n_devices
        content = encode(engine) if is_due or task.cached_devices else b""
        if is_due:
            self._snapshot.update((content,))
            self._journal.clear()
            n_since = 0
        elif batches:
            self._journal.appendList([(batch.line(),) for batch in batches])
        self._stamp.update((stamp, n_since))
        if task.cached_devices:
            handover_of(task.query).put(bucket, stamp, content)
            CACHE.put(task.query, bucket, stamp, engine, task.cached_devices)
