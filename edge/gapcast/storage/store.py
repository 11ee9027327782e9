"""Keeps readings under a folder: each batch a line of the journal, the whole state a checkpoint now and then.

A line reaches the operating system before :meth:`Store.keep` returns, so that a killed process loses
nothing; the disk has it after :data:`SYNC_S` at most, which is what a power cut may lose. Waiting for
the disk is left to a thread beside the stream's. Trouble stops the keeping, never the service.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import structlog

from gapcast.core.engine import Engine
from gapcast.core.errors import ShardError, StateError
from gapcast.core.meters.samples import Sample
from gapcast.core.reading import Reading
from gapcast.core.snapshot import Snapshot, capture_snapshot
from gapcast.private_files import make_private_folder, open_private, tighten_modes
from gapcast.service.ports import Meters, NoMeters
from gapcast.storage import journal
from gapcast.storage.disk_errors import disk_error_fix
from gapcast.storage.record_lines import salt_of
from gapcast.storage.recovery import files_of, journal_path, recover, write_checkpoint

log = structlog.get_logger(__name__)

#: A journal is forced to the disk this often.
SYNC_S = 30.0
#: After trouble it is tried again this often.
RETRY_S = 30.0
#: A checkpoint is due when the journal has grown to this, or to twice the last checkpoint.
LEAST_JOURNAL_BYTES = 2 << 20
#: Or when it holds so many readings, and so many of each device: forecasting them again takes a second.
MOST_READINGS, MOST_READINGS_EACH = 20_000, 20


class Store:
    """Persists batches and snapshots in files. Implements :class:`gapcast.service.persistence.StateStore`."""

    def __init__(self, folder: Path, clock_s: Callable[[], float] = time.monotonic, *, of_shard: bool = False) -> None:
        """Keep readings under ``folder``, once :meth:`restore` was called; ``clock_s`` says when what is due.

        ``of_shard``: the caller holds a :class:`~gapcast.storage.shard_lock.ShardLock`, and stops without the folder.
        """
        self._folder = folder
        self._of_shard = of_shard
        self._clock_s = clock_s
        self._beside = ThreadPoolExecutor(1, "storage")
        self._checkpointing: Future[int] | None = None
        self._syncing: Future[None] | None = None
        self._claimed: int | None = None
        self._journal: int | None = None
        self._n_records, self._salt = 0, journal.NO_SALT
        self._n_bytes_since = self._checkpoint_bytes = self._n_readings_since = self._n_devices = 0
        self._owes_checkpoint = self._dirty = False
        self._forgets = False  # whether a device was forgotten since the newest generation began
        self._outdated = False  # whether the batches so far were forecast by another engine than would replay them
        self._clean_from = 0  # the first generation without those that were
        self._given_up = False
        self._sync_due_s = self._retry_due_s = 0.0
        self.n_bytes_written = 0
        self.problem = ""
        #: What was damaged when the state was restored, and what was used instead; empty where nothing was.
        self.damage = ""

    # --- start and end --------------------------------------------------------------------------

    def restore(self, engine: Engine, meters: Meters | None = None) -> None:
        """Put ``engine`` and ``meters``, which must be new, where the last process left them, and be ready for more.

        Raises :class:`ShardError` where they are a shard's and the files cannot be read here, or are a newer gapcast's.
        """
        meters = meters or NoMeters()
        try:
            make_private_folder(self._folder)
            tighten_modes(self._folder)
            if not self._of_shard:
                self._claim()
            found = recover(self._folder, engine, meters)
        except StateError as error:
            self._give_up(str(error), "run the newer gapcast, or set another state.path; the file is not changed")
            return
        except BlockingIOError:
            self._give_up(f"another gapcast process uses {self._folder}", "give each its own state.path")
            return
        except OSError as error:
            if self._of_shard:
                msg = f"{self._folder} cannot be read ({error}): a shard goes on from what was kept, or not at all"
                raise ShardError(msg) from error
            self._stop(error)
            return
        self._n_bytes_since, self._checkpoint_bytes = found.journal_bytes, found.checkpoint_bytes
        self._n_readings_since, self._n_devices = found.journal_readings, len(engine.buffers)
        self._forgets, self.damage = found.forgets, found.damage
        try:
            if found.sound:
                self._journal = os.open(journal_path(self._folder, found.generation), os.O_WRONLY | os.O_APPEND)
                self._n_records, self._salt = found.journal_records, salt_of(found.generation)
            else:
                generation = self._begin_generation()
                snapshot = capture_snapshot(engine, meters.capture_state())
                self._checkpointed(write_checkpoint(self._folder, generation, snapshot, self._clean_from))
        except OSError as error:
            self._stop(error)

    def _claim(self) -> None:
        """Take the folder for this process; the system gives it back however the process ends."""
        self._claimed = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self, snapshot: Snapshot | None) -> None:
        """Keep ``snapshot``, where there is one and it says more than is kept, and end."""
        if snapshot is not None and self._journal is not None and self._n_bytes_since:
            self.write_snapshot(snapshot)
        if self._journal is not None:
            self._beside.submit(_finish, self._journal)
            self._journal = None
        self._beside.shutdown(wait=True)
        self._look_beside()
        if self._claimed is not None:
            os.close(self._claimed)
            self._claimed = None

    # --- the stream -----------------------------------------------------------------------------

    def keep(self, readings: Sequence[Reading], issued_at_ms: int, samples: Sequence[Sample] = ()) -> None:
        """Add a batch to the journal."""
        if self._journal is None:
            return
        try:
            self._n_records += 1
            line = journal.encode(readings, issued_at_ms, samples, n=self._n_records, salt=self._salt)
            self._append(self._journal, line)
            self._n_readings_since += len(readings)
        except OSError as error:
            self._stop(error)

    def forget(self, device: str) -> None:
        """Add to the journal that ``device`` is forgotten; the next checkpoint removes the files that tell of it."""
        self._forgets = True
        if self._journal is None:
            return
        try:
            self._n_records += 1
            self._append(self._journal, journal.encode_forgotten(device, n=self._n_records, salt=self._salt))
        except OSError as error:
            self._stop(error)

    def invalidate(self) -> None:
        """Want a checkpoint as soon as may be."""
        self._outdated = True

    def maintain(self) -> bool:
        """Force the journal to the disk when that is due; tell whether a checkpoint is."""
        if self._given_up:
            return False
        self._look_beside()
        now_s = self._clock_s()
        if self._dirty and self._syncing is None and now_s >= self._sync_due_s and self._journal is not None:
            self._syncing = self._beside.submit(os.fdatasync, self._journal)
            self._dirty, self._sync_due_s = False, now_s + SYNC_S
        if self._checkpointing is not None or now_s < self._retry_due_s:
            return False
        is_large = self._n_bytes_since >= max(LEAST_JOURNAL_BYTES, 2 * self._checkpoint_bytes)
        is_large = is_large or self._n_readings_since >= max(MOST_READINGS, MOST_READINGS_EACH * self._n_devices)
        return is_large or self._owes_checkpoint or self._forgets or self._outdated

    def write_snapshot(self, snapshot: Snapshot) -> None:
        """Begin a new journal, and write ``snapshot`` as the checkpoint before it, beside the stream."""
        before, self._n_devices = self._journal, len(snapshot.devices)
        try:
            generation = self._begin_generation()
        except OSError as error:
            self._stop(error)
            return
        if before is not None:
            self._beside.submit(_finish, before)
        self._checkpointing = self._beside.submit(
            write_checkpoint, self._folder, generation, snapshot, self._clean_from
        )

    def catch_up(self) -> None:
        """Wait until the disk has all that it was given."""
        self._beside.submit(int).result()
        self._look_beside()

    def _begin_generation(self) -> int:
        make_private_folder(self._folder)
        generation = max(files_of(self._folder).values(), default=0) + 1
        path = journal_path(self._folder, generation)
        begun = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_EXCL)
        try:
            self._append(begun, journal.encode_header())
        except OSError:
            os.close(begun)
            raise
        self._journal, self._n_bytes_since, self._n_readings_since = begun, 0, 0
        self._n_records, self._salt = 0, salt_of(generation)
        self._outdated = False
        if self._forgets:
            self._forgets, self._clean_from = False, generation
        return generation

    def _append(self, file: int, line: bytes) -> None:
        n_written = os.write(file, line)
        if n_written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._dirty = True
        self._n_bytes_since += n_written
        self.n_bytes_written += n_written

    # --- trouble --------------------------------------------------------------------------------

    def _look_beside(self) -> None:
        """Take note of what has ended in the other thread."""
        if self._syncing is not None and self._syncing.done():
            syncing, self._syncing = self._syncing, None
            if (error := syncing.exception()) is not None:
                self._log_problem(error)
        if self._checkpointing is not None and self._checkpointing.done():
            checkpointing, self._checkpointing = self._checkpointing, None
            if (error := checkpointing.exception()) is not None:
                self._defer_error(error)
            else:
                self._checkpointed(checkpointing.result())

    def _checkpointed(self, n_bytes: int) -> None:
        self._checkpoint_bytes = n_bytes
        self.n_bytes_written += n_bytes
        self._owes_checkpoint = False
        if self.problem:
            self.problem = ""
            log.info("state.kept_again", path=str(self._folder))

    def _stop(self, error: OSError) -> None:
        """Keep nothing until a whole checkpoint can be written: what comes in between is in no journal."""
        if self._journal is not None:
            self._beside.submit(os.close, self._journal)
            self._journal = None
        self._defer_error(error)

    def _defer_error(self, error: BaseException) -> None:
        self._owes_checkpoint, self._retry_due_s = True, self._clock_s() + RETRY_S
        self._log_problem(error)

    def _log_problem(self, error: BaseException) -> None:
        if not self.problem:  # one line a trouble, not one a try
            log.warning("state.not_kept", path=str(self._folder), problem=str(error), cure=disk_error_fix(error))
        self.problem = f"readings are not persisted across a restart: {error}"

    def _give_up(self, problem: str, cure: str) -> None:
        if self._of_shard:
            msg = f"{problem}: {cure}"
            raise ShardError(msg)
        self._given_up = True
        self.problem = f"readings are not persisted across a restart: {problem}"
        log.warning("state.not_kept", path=str(self._folder), problem=problem, cure=cure)


def _finish(file: int) -> None:
    """Force a journal that gets no more to the disk."""
    try:
        os.fdatasync(file)
    finally:
        os.close(file)
