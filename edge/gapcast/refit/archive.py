"""The last weeks of minutes of some devices, in one append-only file each: what the night's refit learns from.

Readings are collected in memory and appended once an hour, 8 bytes a minute, so that a memory card is written rarely;
a killed process loses at most that hour. Each append is a block with a CRC-32. A block that was only partly written,
as in a power failure, ends the file; what is before it is used. Once a quarter too long, a file is replaced by its
newest weeks, atomically.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import structlog

from gapcast.core.reading import Reading
from gapcast.private_files import create_private, make_private_folder, open_private
from gapcast.refit.minutes import MAX_MINUTES, RecordedMinutes
from gapcast.storage.disk_errors import disk_error_fix

log = structlog.get_logger(__name__)

_HEADER = b"gapcast minutes 1\n"
#: Before the records of a block: their number, and their CRC-32.
_BLOCK = struct.Struct("<II")
#: The minute since the epoch, doubled, plus 1 if it was filled; and the power, kW.
_RECORD = np.dtype([("minute", "<u4"), ("gap_kw", "<f4")])
#: A file with more records than this is replaced by one with the newest :data:`MAX_MINUTES`.
_MAX_RECORDS = MAX_MINUTES + MAX_MINUTES // 4
_MINUTES, _FOREST, _PART = ".minutes", ".forest", ".part"


class MinuteArchive:
    """Collects readings, in one thread, and writes them to files, in another. No method raises for a bad disk."""

    def __init__(self, folder: Path, max_devices: int) -> None:
        """Archive the first ``max_devices`` devices in ``folder``."""
        self._folder = folder
        self._max_devices = max_devices
        self._lock = Lock()  # held for a moment: the stream never waits for the disk
        self._files_lock = Lock()  # taken before the other one
        self._pending: dict[str, list[tuple[int, float]]] = {}  # by device: also of those without new readings
        self._n_stored: dict[str, int] = {}
        self._problem = False

    @property
    def devices(self) -> list[str]:
        """The archived devices."""
        with self._lock:
            return list(self._pending)

    def open(self) -> None:
        """Find the files of an earlier run, and repair their ends."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob(f"*{_MINUTES}")):
            device = path.name.removesuffix(_MINUTES)
            if len(self._pending) < self._max_devices:
                self._n_stored[device] = len(self._read(device))
                self._pending[device] = []

    def record(self, readings: Sequence[Reading]) -> None:
        """Collect ``readings``, in the order they were accepted."""
        with self._lock:
            pending = self._pending
            for reading in readings:
                of_device = pending.get(reading.device)
                if of_device is None:
                    if len(pending) >= self._max_devices:
                        continue
                    of_device = pending[reading.device] = []
                of_device.append((reading.minute * 2 + reading.is_filled, reading.gap_kw))

    def n_readings(self, device: str) -> int:
        """Return the number of archived readings of ``device``, at most :data:`MAX_MINUTES`."""
        with self._lock:
            return min(self._n_stored.get(device, 0) + len(self._pending.get(device, ())), MAX_MINUTES)

    def load(self, device: str) -> RecordedMinutes:
        """Return the newest readings of ``device``, in order."""
        self.flush()
        with self._files_lock:
            stored = self._read(device)
        with self._lock:
            waiting = np.array(self._pending.get(device, []), dtype=_RECORD)
        return _house(np.concatenate([stored, waiting])).newest()

    def flush(self) -> None:
        """Append the collected readings to the files. If the disk fails, they are collected until it works again."""
        with self._files_lock:
            for device in self.devices:
                with self._lock:
                    taken = self._pending.get(device)
                    if not taken:
                        continue
                    self._pending[device] = []
                try:
                    self._append(device, np.array(taken, dtype=_RECORD))
                except OSError as error:
                    with self._lock:
                        self._pending[device] = (taken + self._pending[device])[-MAX_MINUTES:]
                    if not self._problem:
                        log.warning("refit.archive_failed", problem=str(error), cure=disk_error_fix(error))
                    self._problem = True
                    return
                self._problem = False

    def forget(self, device: str) -> None:
        """Remove the readings and the forest of ``device``."""
        with self._files_lock:
            with self._lock:
                self._pending.pop(device, None)
            self._n_stored.pop(device, None)
            for suffix in (_MINUTES, _FOREST, _MINUTES + _PART, _FOREST + _PART):
                self._path(device, suffix).unlink(missing_ok=True)

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
            if device not in self._pending:
                return False
            self._replace(self._path(device, _FOREST), content)
            return True

    # --- files ------------------------------------------------------------------------------------

    def _append(self, device: str, records: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
        path, n_stored = self._path(device, _MINUTES), self._n_stored.get(device, 0)
        if n_stored + len(records) > _MAX_RECORDS:
            newest = _house(np.concatenate([self._read(device), records])).newest()
            kept = np.empty(len(newest), dtype=_RECORD)
            kept["minute"], kept["gap_kw"] = newest.minutes * 2 + newest.is_filled, newest.gap_kw
            self._replace(path, _HEADER + _block(kept))
            self._n_stored[device] = len(kept)
            return
        make_private_folder(self._folder)
        file = open_private(path, os.O_WRONLY | os.O_APPEND)
        try:
            n_before = os.fstat(file).st_size
            content = (b"" if n_before else _HEADER) + _block(records)
            if os.write(file, content) < len(content):
                os.ftruncate(file, n_before)
                msg = "no space left on device"
                raise OSError(msg)
            os.fdatasync(file)
        finally:
            os.close(file)
        self._n_stored[device] = n_stored + len(records)

    def _read(self, device: str) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """Return the stored records of ``device``; cut a damaged end off the file, so that appending continues it."""
        path = self._path(device, _MINUTES)
        try:
            content = path.read_bytes()
            records, n_sound = _records_of(content)
            if n_sound < len(content):
                log.error("refit.archive_damaged", path=str(path), kept=len(records), lost_bytes=len(content) - n_sound)
                os.truncate(path, n_sound)
        except FileNotFoundError:
            return np.empty(0, dtype=_RECORD)
        except OSError as error:
            log.error("refit.archive_damaged", path=str(path), problem=str(error), cure=disk_error_fix(error))
            return np.empty(0, dtype=_RECORD)
        return records

    def _replace(self, path: Path, content: bytes) -> None:
        make_private_folder(self._folder)
        part = path.with_name(path.name + _PART)
        with create_private(part) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _path(self, device: str, suffix: str) -> Path:
        return self._folder / f"{device}{suffix}"


def _block(records: np.ndarray[tuple[int], np.dtype[np.void]]) -> bytes:
    content = records.tobytes()
    return _BLOCK.pack(len(records), zlib.crc32(content)) + content


def _records_of(content: bytes) -> tuple[np.ndarray[tuple[int], np.dtype[np.void]], int]:
    """Return the records of all sound blocks from the beginning, and the number of bytes they take."""
    found, at = [np.empty(0, dtype=_RECORD)], len(_HEADER)
    if not content.startswith(_HEADER):
        return found[0], 0
    while at + _BLOCK.size <= len(content):
        n, crc = _BLOCK.unpack_from(content, at)
        begin, end = at + _BLOCK.size, at + _BLOCK.size + n * _RECORD.itemsize
        if end > len(content) or zlib.crc32(content[begin:end]) != crc:
            break
        found.append(np.frombuffer(content[begin:end], dtype=_RECORD))
        at = end
    return np.concatenate(found), at


def _house(records: np.ndarray[tuple[int], np.dtype[np.void]]) -> RecordedMinutes:
    coded = records["minute"].astype(np.int64)
    return RecordedMinutes(coded // 2, records["gap_kw"].astype(np.float32), coded % 2 == 1)
