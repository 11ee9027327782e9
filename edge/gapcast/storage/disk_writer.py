"""The thread that waits for the disk: syncs of the journal, and checkpoints, one of each at a time."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.storage.freed_memory import release_freed_memory
from gapcast.storage.generations import begin_checkpoint, complete_checkpoint, discard_checkpoint, write_checkpoint
from gapcast.storage.journal_file import JournalFile


class DiskWriter:
    """Writes to the disk in its own thread, in the order of the calls. The caller collects the results."""

    def __init__(self, folder: Path) -> None:
        """Write checkpoints to ``folder``."""
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "storage")
        self._sync: Future[None] | None = None
        self._closings: list[Future[None]] = []  # of journals, in order
        self._begun: BinaryIO | None = None  # a checkpoint whose columns are written
        self._checkpoint: Future[int] | None = None

    @property
    def is_syncing(self) -> bool:
        """Whether a sync's result has not been collected yet."""
        return self._sync is not None

    @property
    def is_checkpointing(self) -> bool:
        """Whether a checkpoint's result has not been collected yet."""
        return self._checkpoint is not None

    def sync(self, journal: JournalFile) -> None:
        """Begin to sync ``journal`` to the disk."""
        self._sync = self._thread.submit(journal.sync)

    def close_journal(self, journal: JournalFile, *, syncs: bool = True) -> None:
        """Close ``journal`` after the tasks begun before; with ``syncs``, sync it to the disk first."""
        self._closings.append(self._thread.submit(journal.sync_and_close if syncs else journal.close))

    def begin_checkpoint(self, snapshot: Snapshot) -> None:
        """Write the columns of ``snapshot``, so that :meth:`write_checkpoint` only waits for the disk.

        Raises OSError and MemoryError if writing fails.
        """
        self._begun = begin_checkpoint(self._folder, snapshot)

    def discard_checkpoint(self) -> None:
        """Remove the columns that :meth:`begin_checkpoint` wrote, if any."""
        if self._begun is not None:
            discard_checkpoint(self._folder, self._begun)
            self._begun = None

    def write_checkpoint(self, generation: int, snapshot: Snapshot, clean_from: int) -> None:
        """Begin to write ``snapshot``, or to complete it if its columns are written; see :func:`.write_checkpoint`."""
        folder, begun, self._begun = self._folder, self._begun, None
        if begun is None:
            self._checkpoint = self._thread.submit(write_checkpoint, folder, generation, snapshot, clean_from)
        else:
            self._checkpoint = self._thread.submit(complete_checkpoint, folder, generation, begun, clean_from)

    def release_memory(self) -> None:
        """Return the memory of the last checkpoint's snapshot to the system, after the task that wrote it."""
        self._thread.submit(release_freed_memory)

    def collect_sync(self) -> BaseException | None:
        """Return the error of a finished sync, once; None if there is none."""
        if self._sync is None or not self._sync.done():
            return None
        ended, self._sync = self._sync, None
        return ended.exception()

    def collect_closing(self) -> BaseException | None:
        """Return the first error of the closed journals, once; None if there is none."""
        errors: list[BaseException] = []
        while self._closings and self._closings[0].done():
            if (error := self._closings.pop(0).exception()) is not None:
                errors.append(error)
        return errors[0] if errors else None

    def collect_checkpoint(self) -> int | BaseException | None:
        """Return the size of a finished checkpoint, bytes, or its error, once; None if none has finished."""
        if self._checkpoint is None or not self._checkpoint.done():
            return None
        ended, self._checkpoint = self._checkpoint, None
        return ended.exception() or ended.result()

    def wait(self) -> None:
        """Wait until all tasks are done."""
        self._thread.submit(int).result()

    def close(self) -> None:
        """Wait until all tasks are done, and end the thread."""
        self._thread.shutdown(wait=True)
