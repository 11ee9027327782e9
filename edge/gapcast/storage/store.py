"""Persists readings in a folder: each batch as a line of the journal, the whole state in checkpoints.

A line reaches the operating system before :meth:`Store.append_batch` returns, so that a killed process loses nothing;
it is on the disk after at most :data:`SYNC_S` (:class:`.DiskWriter`). A disk error never stops the service.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

from gapcast.core.engine import Engine
from gapcast.core.errors import ShardError, StateError
from gapcast.core.readings.reading import Reading
from gapcast.core.readings.samples import Sample
from gapcast.core.snapshots.snapshot import Snapshot, capture_snapshot
from gapcast.core.snapshots.state_changes import ForgottenDevice, StateChange
from gapcast.private_files import disk_error_fix, make_private_folder, tighten_modes
from gapcast.service.ports.broker_link import Meters, NoMeters
from gapcast.storage.checkpoints.checkpoint_rule import CheckpointRule, RemovalRule
from gapcast.storage.disk_writer import DiskWriter
from gapcast.storage.files.disk_problems import DamagedJournals, PersistenceProblem
from gapcast.storage.files.locks import lock_state
from gapcast.storage.generations import files_of, prepare_folder, remove_unfinished
from gapcast.storage.journal_file import JournalFile
from gapcast.storage.journals.journal import Entry, PersistedBatch, encode_header
from gapcast.storage.recovery import recover

#: Interval between syncs of the journal to the disk, and between retries after an error.
SYNC_S, RETRY_S = 30.0, 30.0


class Store:
    """Persists batches and snapshots in files: a :class:`~gapcast.service.persistence.persistence.StateStore`."""

    def __init__(
        self, folder: Path, clock_s: Callable[[], float] = time.monotonic, *, holds_shard_lock: bool = False
    ) -> None:
        """Persist readings in ``folder`` after :meth:`restore` was called; ``clock_s`` times syncs and retries.

        ``holds_shard_lock``: the caller holds a :class:`.ShardLock`; errors are raised, and disable no persistence.
        """
        self._folder = folder
        self._holds_shard_lock = holds_shard_lock
        self._clock_s = clock_s
        self._writer = DiskWriter(folder)
        self._folder_lock: int | None = None
        self._journal: JournalFile | None = None  # None after an error: only the next checkpoint has the batches
        self._rule = CheckpointRule()
        self._removals = RemovalRule()  # of devices that were forgotten since the newest generation began
        self._is_invalidated = False  # whether replaying the journal would need another engine than made its forecasts
        self._clean_from = 0  # the first generation without forgotten devices
        self._damaged_journals = DamagedJournals()
        self._is_unread = False  # whether the folder was unreadable: it may have state, which is not replaced
        self._sync_due_s = self._retry_due_s = 0.0
        self.n_bytes_written = 0
        self._problem = PersistenceProblem(folder)
        #: Called after each checkpoint.
        self.on_checkpoint: Callable[[], None] = lambda: None
        #: Devices that the restored journal forgets: the broker may still have their retained messages.
        self.forgotten: Sequence[str] = ()
        #: What was damaged when the state was restored, and what was used instead; empty if nothing was.
        self.damage = ""

    @property
    def problem(self) -> str:
        """Why the state is currently not persisted, or in the journal alone, in a sentence; empty while it is."""
        return self._problem.text

    # --- start and end --------------------------------------------------------------------------

    def restore(
        self,
        engine: Engine,
        meters: Meters | None = None,
        on_locked: Callable[[], object] = lambda: None,
        stopping: Event | None = None,
    ) -> None:
        """Restore ``engine`` and ``meters``, which must be new, and start to persist.

        ``on_locked`` is called once the folder is locked. Raises :class:`ShardError` for unusable files of a shard, and
        :class:`StateInUseError` like :func:`.lock_state`.
        """
        meters = meters or NoMeters()
        try:
            make_private_folder(self._folder)
            tighten_modes(self._folder)
            if not self._holds_shard_lock:
                self._folder_lock = lock_state(self._folder, stopping)
            on_locked()
            found = recover(self._folder, engine, meters)
        except StateError as error:
            self._disable(str(error), "run the newer gapcast, or set another state.path; the file is not changed")
            return
        except OSError as error:
            if self._holds_shard_lock:
                msg = f"{self._folder} cannot be read ({error}): a shard does not start without its persisted state"
                raise ShardError(msg) from error
            self._is_unread = True
            self._suspend(error)
            return
        remove_unfinished(self._folder)
        self._rule.set_checkpoint(found.checkpoint_bytes)
        self._rule.set_devices(len(engine.buffers))
        self.forgotten, self.damage = found.forgotten, found.damage
        self._removals.is_pending = bool(found.forgotten)
        self._damaged_journals = found.damaged_journals
        try:
            if found.can_continue:
                self._journal = JournalFile.resume(self._folder, found)
            else:
                self.write_snapshot(capture_snapshot(engine, meters.capture_state(), copies=False))
                self.catch_up()
        except (OSError, MemoryError) as error:
            self._suspend(error)

    def close(self, snapshot: Snapshot | None) -> None:
        """Write ``snapshot``, if given and newer than the persisted state, and close the files."""
        if snapshot is not None and (self._problem.needs_checkpoint or (self._journal and self._journal.n_bytes)):
            self.write_snapshot(snapshot)
        if self._journal is not None:
            self._writer.close_journal(self._journal)
        self._writer.close()
        self._collect_results()
        self._journal = None
        if self._folder_lock is not None:
            os.close(self._folder_lock)
            self._folder_lock = None

    # --- the stream -----------------------------------------------------------------------------

    def append_batch(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> None:
        """Add a batch to the journal."""
        self._append(PersistedBatch(issued_at_ms, readings, samples))

    def append_change(self, change: StateChange) -> None:
        """Add ``change`` to the journal; the next checkpoint removes the files that contain a forgotten device."""
        self._removals.is_pending |= isinstance(change, ForgottenDevice)
        self._append(change)

    def _append(self, entry: Entry) -> None:
        if self._journal is None:
            return
        try:
            self.n_bytes_written += self._journal.append(entry)
        except OSError as error:
            self._suspend(error)

    def invalidate(self) -> None:
        """Request a checkpoint as soon as possible."""
        self._is_invalidated = True

    def maintain(self) -> bool:
        """Sync the journal to the disk when due; return whether a checkpoint is due."""
        if self._problem.is_final:
            return False
        self._collect_results()
        now_s, current = self._clock_s(), self._journal
        if current is not None and current.is_dirty and not self._writer.is_syncing and now_s >= self._sync_due_s:
            self._writer.sync(current)
            current.is_dirty, self._sync_due_s = False, now_s + SYNC_S
        if self._writer.is_checkpointing or now_s < self._retry_due_s:
            return False
        if self._problem.needs_checkpoint or self._is_invalidated or self._removals.is_due(now_s):
            return True
        return current is not None and self._rule.is_due(current.n_bytes, current.n_readings)

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Begin to write ``snapshot`` as a checkpoint, and the journal after it.

        If it is not a copy, or after an error, its columns are written before this returns, and the journal is begun
        only if that succeeds, so that on a disk without room for a checkpoint, retries leave no journals.
        """
        begins_now = not snapshot.is_copy or self._problem.needs_checkpoint
        if begins_now and self._writer.is_checkpointing:
            self.catch_up()  # the previous checkpoint is in the same file
        before = self._journal
        self._rule.set_devices(len(snapshot.devices))
        try:
            prepare_folder(self._folder, is_unread=self._is_unread)
            if begins_now:
                self._writer.begin_checkpoint(snapshot)
            generation = self._begin_generation()
        except (OSError, MemoryError) as error:
            self._writer.discard_checkpoint()
            self._defer_error(error)  # batches are appended to the previous journal, if there is one
            return
        if before is not None:
            self._writer.close_journal(before)
        self._writer.write_checkpoint(generation, snapshot, self._clean_from)
        del snapshot  # only the task holds it once the caller, which waits for nothing more, has returned
        self._writer.release_memory()

    def catch_up(self) -> None:
        """Wait until everything is written to the disk."""
        self._writer.wait()
        self._collect_results()

    def _begin_generation(self) -> int:
        """Begin a new journal; return its generation. Raises OSError if that fails."""
        generation = max(files_of(self._folder).values(), default=0) + 1
        self._journal = JournalFile.create(self._folder, generation)
        self.n_bytes_written += len(encode_header())
        self._is_invalidated = self._is_unread = False
        if self._removals.begin_checkpoint(self._clock_s()):
            self._clean_from = generation
        return generation

    # --- errors ---------------------------------------------------------------------------------

    def _collect_results(self) -> None:
        """Handle the results of the writer."""
        if (error := self._writer.collect_closing()) is not None:  # a finished checkpoint may make up for it
            self._defer_error(error)
        ended = self._writer.collect_checkpoint()
        if isinstance(ended, int):
            self._checkpointed(ended)
        elif ended is not None:
            self._defer_error(ended)
        if (error := self._writer.collect_sync()) is not None:  # the next sync may succeed without what this one lost
            self._defer_error(error)

    def _checkpointed(self, n_bytes: int) -> None:
        self._rule.set_checkpoint(n_bytes)
        self.n_bytes_written += n_bytes
        if self._journal is not None:  # otherwise it began before the error, and lacks the batches since then
            self._damaged_journals.quarantine_journals()
            self._problem.end()
            self.on_checkpoint()

    def _suspend(self, error: OSError | MemoryError) -> None:
        """Stop the journal until a checkpoint is written: only that checkpoint has the batches in between."""
        if self._journal is not None:
            self._writer.close_journal(self._journal, syncs=False)
            self._journal = None
        self._defer_error(error)

    def _defer_error(self, error: BaseException) -> None:
        self._retry_due_s = self._clock_s() + RETRY_S
        self._problem.begin(str(error), disk_error_fix(error), in_journal=self._journal is not None)

    def _disable(self, problem: str, fix: str) -> None:
        """Disable persistence permanently; raises :class:`ShardError` for a shard."""
        if self._holds_shard_lock:
            raise ShardError(f"{problem}: {fix}")
        self._problem.begin(problem, fix, is_final=True)
