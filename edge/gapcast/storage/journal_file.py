"""The journal of one generation, open for appending: its records' numbers, its size, and syncs to the disk."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from gapcast.private_files import open_private
from gapcast.storage.generations import journal_path
from gapcast.storage.journals import journal
from gapcast.storage.journals.record_lines import salt_of
from gapcast.storage.recovery import Recovered


class JournalFile:
    """A journal open for appending. A record is complete in the operating system's memory, or raises an error."""

    def __init__(self, file: int, generation: int, n_records: int = 0) -> None:
        """Append to the descriptor ``file``, which contains ``n_records``."""
        self._file = file
        self._salt = salt_of(generation)
        self._n_records = n_records
        #: Number of bytes and readings since the previous checkpoint, without the first line.
        self.n_bytes = self.n_readings = 0
        #: Whether something was written since the last :meth:`sync` began.
        self.is_dirty = False

    @classmethod
    def create(cls, folder: Path, generation: int) -> JournalFile:
        """Create the journal of ``generation``, with its first line; raises OSError if that fails."""
        path = journal_path(folder, generation)
        file = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_EXCL)
        created = cls(file, generation)
        try:
            created._write(journal.encode_header())
        except OSError:
            os.close(file)
            with suppress(OSError):  # the error of the write is raised
                path.unlink()
            raise
        return created

    @classmethod
    def resume(cls, folder: Path, found: Recovered) -> JournalFile:
        """Continue the newest journal in ``found``; raises OSError if that fails."""
        file = os.open(journal_path(folder, found.generation), os.O_WRONLY | os.O_APPEND)
        resumed = cls(file, found.generation, found.journal_records)
        resumed.n_bytes, resumed.n_readings = found.journal_bytes, found.journal_readings
        return resumed

    def append(self, entry: journal.Entry) -> int:
        """Append the record of ``entry``; return its size in bytes.

        Raises OSError if the record was not written completely.
        """
        self._n_records += 1
        n_bytes = self._write(journal.encode(entry, n=self._n_records, salt=self._salt))
        self.n_bytes += n_bytes
        if isinstance(entry, journal.PersistedBatch):
            self.n_readings += len(entry.readings)
        return n_bytes

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file as it is."""
        os.close(self._file)

    def sync_and_close(self) -> None:
        """Wait until everything is on the disk, and close the file."""
        try:
            self.sync()
        finally:
            self.close()

    def _write(self, line: bytes) -> int:
        n_written = os.write(self._file, line)
        if n_written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.is_dirty = True
        return n_written
