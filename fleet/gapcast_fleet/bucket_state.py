"""What Spark's state store has of a bucket: now and then its engine's snapshot, and the journal of what came since."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

from gapcast.core.engine import Engine
from gapcast_fleet.handover import handover_of
from gapcast_fleet.turns import Turn, replay_turns
from gapcast_fleet.worker import CACHE, WorkerTask, decode, encode, new_engine, place_of

#: A snapshot is due after so many readings of each device: a worker that has no newer one takes them again.
MOST_READINGS_EACH = 20


class BucketState:
    """The state of whichever bucket Spark has in hand: where its engine comes from, and where it goes."""

    def __init__(self, handle: StatefulProcessorHandle, task: WorkerTask) -> None:
        """Have three of Spark's state variables.

        The stamp of the newest writing, with how many readings there are since the snapshot; the snapshot; and the
        lines of the journal.
        """
        self._task = task
        self._stamp = handle.getValueState("stamp", "stamp string, n_since long")
        self._snapshot = handle.getValueState("snapshot", "content binary")
        self._journal = handle.getListState("journal", "line binary")

    def resume(self, bucket: int) -> tuple[Engine, int | None]:
        """Return the engine as the last writing left it, and how many readings its journal has; None: it is new.

        Raises :class:`~gapcast.core.errors.StateError` where what was written is damaged.
        """
        task = self._task
        written = self._stamp.get()
        if written is None:
            return new_engine(task), None
        stamp, n_since = written
        if task.cached_devices:
            if (engine := CACHE.take(task.query, bucket, stamp)) is not None:
                return engine, n_since
            if (content := handover_of(task.query).find(bucket, stamp)) is not None:
                return decode(task, bucket, content), n_since
        snapshot = self._snapshot.get()
        engine = new_engine(task) if snapshot is None else decode(task, bucket, bytes(snapshot[0]))
        replay_turns(engine, (bytes(line) for (line,) in self._journal.get()), place_of(task, bucket))
        return engine, n_since

    def keep(self, bucket: int, engine: Engine, turns: Sequence[Turn], n_since: int | None) -> None:
        """Write where ``engine`` stands after ``turns``; ``n_since`` is what :meth:`resume` told."""
        task, stamp, n_devices = self._task, uuid.uuid4().hex, len(engine.buffers)
        if n_since is None:  # they begin as if at different times, so that their snapshots are not due all at once
            n_since = bucket % MOST_READINGS_EACH * n_devices
        n_since += sum(len(turn.readings) for turn in turns)
        is_due = n_since >= MOST_READINGS_EACH * n_devices
        content = encode(engine) if is_due or task.cached_devices else b""
        if is_due:
            self._snapshot.update((content,))
            self._journal.clear()
            n_since = 0
        elif turns:
            self._journal.appendList([(turn.line(),) for turn in turns])
        self._stamp.update((stamp, n_since))
        if task.cached_devices:
            handover_of(task.query).leave(bucket, stamp, content)
            CACHE.put(task.query, bucket, stamp, engine, task.cached_devices)
