"""The last weeks of minutes of some devices, the input of the nightly refit, in one append-only file per device.

Readings are collected in memory and appended once an hour, so that a memory card is written rarely; a killed process
loses at most one hour. Each append is a block with a CRC-32 (:mod:`.minutes_file`). Damaged blocks, such as one that a
power failure cut short, are removed. A file that is a quarter too long is replaced by its newest weeks, atomically.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import structlog

from gapcast.core.readings.reading import Reading
from gapcast.private_files import (
    PART_SUFFIX,
    disk_error_fix,
    make_private_folder,
    newest_first,
    replacement_of,
    write_private,
)
from gapcast.refit.minutes import MAX_MINUTES, RecordedMinutes
from gapcast.refit.minutes_file import (
    ArchivedReading,
    MinutesFile,
    append_block,
    encode_file,
    joined,
    minutes_of,
    none_recorded,
    read_file,
    version_for,
)
from gapcast.storage.files.disk_problems import quarantine_file

log = structlog.get_logger(__name__)

#: A file with more records than this is replaced by a file with the newest :data:`MAX_MINUTES`.
_MAX_RECORDS = MAX_MINUTES + MAX_MINUTES // 4
#: The ends of the names of a device's files.
_MINUTES, _FOREST = SUFFIXES = ".minutes", ".forest"


class MinuteArchive:
    """Collects readings in one thread, and writes files in another; only :meth:`store_forest` raises disk errors."""

    def __init__(self, folder: Path, max_devices: int) -> None:
        """Archive the first ``max_devices`` devices in ``folder``."""
        self._folder = folder
        self._max_devices = max_devices
        self._lock = Lock()  # held only briefly: `record` never waits for the disk
        self._files_lock = Lock()  # acquired before _lock
        self._pending: dict[str, list[ArchivedReading]] = {}  # by device, including devices without new readings
        self._n_stored: dict[str, int] = {}
        self._versions: dict[str, int] = {}  # of the files, by device
        self._unremoved: set[str] = set()  # forgotten devices whose files could not be removed
        self._problem = False
        #: Whether readings are collected and files are changed.
        self.is_enabled = True

    @property
    def devices(self) -> list[str]:
        """The archived devices."""
        with self._lock:
            return list(self._pending)

    def open(self) -> None:
        """Find the files of an earlier run, and remove damaged blocks. No other process may use the folder."""
        self.is_enabled = True
        if not self._folder.is_dir():
            return
        for path in newest_first(self._folder.glob(f"*{_MINUTES}"))[: self._max_devices]:  # the others stay on the disk
            device = path.name.removesuffix(_MINUTES)
            self._n_stored[device] = len(self._read(device).minutes)
            self._pending[device] = []

    def record(self, readings: Sequence[Reading]) -> None:
        """Collect ``readings``, in the order they were accepted."""
        if not self.is_enabled:
            return
        with self._lock:
            pending = self._pending
            for reading in readings:
                of_device = pending.get(reading.device)
                if of_device is None:
                    if len(pending) >= self._max_devices:
                        continue
                    of_device = pending[reading.device] = []
                coded_minute = reading.minute * 2 + reading.is_filled
                of_device.append(ArchivedReading(coded_minute, reading.gap_kw, reading.measured))

    def n_readings(self, device: str) -> int:
        """Return the number of archived readings of ``device``, at most :data:`MAX_MINUTES`."""
        with self._lock:
            return min(self._n_stored.get(device, 0) + len(self._pending.get(device, ())), MAX_MINUTES)

    def load(self, device: str) -> RecordedMinutes:
        """Return the newest readings of ``device``, in order."""
        self.flush()
        with self._files_lock:
            stored = none_recorded() if device in self._unremoved else self._read(device).minutes
        with self._lock:
            waiting = minutes_of(self._pending.get(device, ()))
        return joined([stored, waiting]).newest()

    def flush(self) -> OSError | None:
        """Append the collected readings to the files; return the first error, None if there was none.

        The readings of a file that fails stay collected until it works again.
        """
        with self._files_lock:
            errors = [error for device in sorted(self._unremoved) if (error := self._remove_files(device)) is not None]
            for device in self.devices:
                with self._lock:
                    if device in self._unremoved:  # its new readings wait until the old ones are removed
                        del self._pending[device][:-MAX_MINUTES]
                        continue
                    taken = self._pending.get(device)
                    if not taken:
                        continue
                    self._pending[device] = []
                try:
                    self._append(device, minutes_of(taken))
                except OSError as error:
                    with self._lock:
                        self._pending[device] = (taken + self._pending[device])[-MAX_MINUTES:]
                    errors.append(error)
            self._report(errors)
            return errors[0] if errors else None

    def forget(self, device: str) -> None:
        """Remove the readings and the forest of ``device``; each flush retries files that could not be removed.

        The retries end with this process; the next process would load the remaining files as a device's.
        """
        if not self.is_enabled:
            return
        with self._files_lock:
            with self._lock:
                self._pending.pop(device, None)
            self._n_stored.pop(device, None)
            self._versions.pop(device, None)
            if (error := self._remove_files(device)) is not None:
                self._report([error])

    def _remove_files(self, device: str) -> OSError | None:
        try:
            for suffix in (_MINUTES, _FOREST, _MINUTES + PART_SUFFIX, _FOREST + PART_SUFFIX):
                self._path(device, suffix).unlink(missing_ok=True)
        except OSError as error:
            self._unremoved.add(device)
            return error
        self._unremoved.discard(device)
        return None

    def _report(self, errors: Sequence[OSError]) -> None:
        """Log the first of ``errors``, once until there are no more errors."""
        if errors and not self._problem:
            log.warning("refit.archive_failed", problem=str(errors[0]), fix=disk_error_fix(errors[0]))
        self._problem = bool(errors)

    # --- forests ----------------------------------------------------------------------------------

    def stored_forests(self) -> dict[str, bytes]:
        """Return the stored forests of archived devices, as :func:`~.forest_file.encode_result` made them."""
        found = {}
        for device in self.devices:
            path = self._path(device, _FOREST)
            try:
                found[device] = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("refit.forest_unreadable", device=device, problem=str(error))
        return found

    def store_forest(self, device: str, content: bytes) -> bool:
        """Store the forest of ``device``, atomically; return False if the device is not archived any more."""
        with self._files_lock:
            if device not in self._pending or device in self._unremoved:
                return False
            self._replace(self._path(device, _FOREST), content)
            return True

    # --- files ------------------------------------------------------------------------------------

    def _append(self, device: str, minutes: RecordedMinutes) -> None:
        path, n_stored = self._path(device, _MINUTES), self._n_stored.get(device, 0)
        version = self._versions.get(device, version_for(minutes))
        if n_stored + len(minutes) > _MAX_RECORDS or version < version_for(minutes):
            newest = joined([self._read(device).minutes, minutes]).newest().without_unknown()
            version = version_for(newest)
            self._replace(path, encode_file(newest, version))
            self._n_stored[device], self._versions[device] = len(newest), version
            return
        make_private_folder(self._folder)
        append_block(path, minutes, version)
        self._n_stored[device], self._versions[device] = n_stored + len(minutes), version

    def _read(self, device: str) -> MinutesFile:
        """Return the stored minutes of ``device``; remove damaged blocks, so that appending continues the file.

        A file that cannot be read at all, such as one of a newer version, is renamed.
        """
        path = self._path(device, _MINUTES)
        self._versions.pop(device, None)
        try:
            content = path.read_bytes()
            found = read_file(content)
            if content and not found.n_sound:
                quarantine_file(path, "its first line is that of no archive of this version")
        except FileNotFoundError:
            return MinutesFile(1, none_recorded(), 0, 0)
        except OSError as error:
            log.error("refit.archive_damaged", path=str(path), problem=str(error), fix=disk_error_fix(error))
            return MinutesFile(1, none_recorded(), 0, 0)
        if found.n_sound:
            self._versions[device] = found.version
        if not content or 0 < found.n_sound < len(content):
            self._repair(device, path, content, found)
        return found

    def _repair(self, device: str, path: Path, content: bytes, found: MinutesFile) -> None:
        """Remove the damaged blocks of a file; if that fails, the next append writes the whole file."""
        n_lost = len(content) - found.n_sound
        log.error("refit.archive_damaged", path=str(path), kept=len(found.minutes), lost_bytes=n_lost)
        try:
            if found.n_first == found.n_sound:
                os.truncate(path, found.n_sound)
            else:
                self._replace(path, encode_file(found.minutes, found.version))
        except OSError as error:
            log.error("refit.archive_damaged", path=str(path), problem=str(error), fix=disk_error_fix(error))
            self._versions[device] = 0  # lower than each version: the next append writes the whole file

    def _replace(self, path: Path, content: bytes) -> None:
        make_private_folder(self._folder)
        with replacement_of(path) as part:
            write_private(part, content)

    def _path(self, device: str, suffix: str) -> Path:
        return self._folder / f"{device}{suffix}"
