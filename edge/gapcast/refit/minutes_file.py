"""The file of a device's archived minutes: appended blocks, each with a CRC-32.

Version 1, for devices without submeters, has 8 bytes per minute. In version 2, blocks begin with the names of
submeters, and have 4 more bytes per minute for each submeter. Both can be read; a version 1 file is rewritten as
version 2 when the first submeter is recorded.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32
from gapcast.core.readings.submeters import is_submeter, name_of
from gapcast.private_files import open_private
from gapcast.refit.minutes import RecordedMinutes

_HEADERS = (b"gapcast minutes 1\n", b"gapcast minutes 2\n")
#: Header of a block: its number of records (version 1) or of bytes (version 2), and the CRC-32 of the rest.
_BLOCK = struct.Struct("<II")
#: Precedes the names of submeters in a block of version 2: their length in bytes.
_NAMES = struct.Struct("<H")
#: Readings of a block in a file that is written at once: a damaged block loses a day.
_BLOCK_READINGS = 24 * 60
_BETWEEN_NAMES = "\n"  # occurs in no name
#: The minute since the epoch, doubled, plus 1 if it was filled; and the power, kW.
_RECORD = np.dtype([("minute", "<u4"), ("gap_kw", "<f4")])


class ArchivedReading(NamedTuple):
    """A reading to archive: its minute, doubled, plus 1 if it was filled; power, kW, and other measurements."""

    coded_minute: int
    gap_kw: float
    measured: Mapping[str, float] | None


class MinutesFile(NamedTuple):
    """The contents of a file: its ``version``, and the ``minutes`` of its undamaged blocks.

    ``n_sound`` is the number of undamaged bytes, ``n_first`` that of the undamaged bytes before any damage.
    """

    version: int
    minutes: RecordedMinutes
    n_sound: int
    n_first: int


def none_recorded() -> RecordedMinutes:
    """Return no minutes."""
    return RecordedMinutes(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.bool_))


def minutes_of(readings: Sequence[ArchivedReading]) -> RecordedMinutes:
    """Return ``readings`` as minutes, with the submeters that any of them has."""
    coded = np.array([one.coded_minute for one in readings], dtype=np.int64)
    keys = sorted({key for one in readings for key in one.measured or () if is_submeter(key)})
    submeters_kw = {
        name_of(key): np.array([(one.measured or {}).get(key, np.nan) for one in readings], dtype=np.float32)
        for key in keys
    }
    gap_kw = np.array([one.gap_kw for one in readings], dtype=np.float32)
    return RecordedMinutes(coded // 2, gap_kw, coded % 2 == 1, submeters_kw)


def joined(parts: Sequence[RecordedMinutes]) -> RecordedMinutes:
    """Return the readings of all ``parts``, at least one, with the submeters of any of them."""
    names = sorted({name for one in parts for name in one.submeters_kw})
    parts = [one.with_submeters(names) for one in parts]
    return RecordedMinutes(
        np.concatenate([one.minutes for one in parts]),
        np.concatenate([one.gap_kw for one in parts]),
        np.concatenate([one.is_filled for one in parts]),
        {name: np.concatenate([one.submeters_kw[name] for one in parts]) for name in names},
    )


def version_for(minutes: RecordedMinutes) -> int:
    """Return the oldest version of a file that can hold ``minutes``."""
    return 2 if minutes.submeters_kw else 1


def header(version: int) -> bytes:
    """Return the beginning of a file."""
    return _HEADERS[version - 1]


def block(minutes: RecordedMinutes, version: int) -> bytes:
    """Return ``minutes`` as a block of a file of ``version``."""
    records = np.empty(len(minutes), dtype=_RECORD)
    records["minute"], records["gap_kw"] = minutes.minutes * 2 + minutes.is_filled, minutes.gap_kw
    content = records.tobytes()
    if version == 1:
        return _BLOCK.pack(len(records), zlib.crc32(content)) + content
    names = _BETWEEN_NAMES.join(minutes.submeters_kw).encode()
    submeters = b"".join(kw.astype("<f4").tobytes() for kw in minutes.submeters_kw.values())
    content = _NAMES.pack(len(names)) + names + content + submeters
    return _BLOCK.pack(len(content), zlib.crc32(content)) + content


def encode_file(minutes: RecordedMinutes, version: int) -> bytes:
    """Return a whole file of ``version`` with ``minutes``."""
    begins = range(0, len(minutes), _BLOCK_READINGS)
    parts = [minutes.select(slice(begin, begin + _BLOCK_READINGS)) for begin in begins]
    return b"".join([header(version), *(block(part, version) for part in parts)])


def append_block(path: Path, minutes: RecordedMinutes, version: int) -> None:
    """Append ``minutes`` to the file of ``version``, or create it.

    Raises :class:`OSError`, with the file as it was before, if the disk is full.
    """
    file = open_private(path, os.O_WRONLY | os.O_APPEND)
    try:
        n_before = os.fstat(file).st_size
        content = block(minutes, version) if n_before else encode_file(minutes, version)
        if os.write(file, content) < len(content):
            os.ftruncate(file, n_before)
            msg = "no space left on device"
            raise OSError(msg)
        os.fdatasync(file)
    finally:
        os.close(file)


def read_file(content: bytes) -> MinutesFile:
    """Return the minutes of all undamaged blocks of ``content``.

    If the length of a damaged block is damaged too, the blocks after it are not found.
    """
    version = next((version for version, begins in enumerate(_HEADERS, 1) if content.startswith(begins)), 0)
    found = [none_recorded()]
    if not version:
        return MinutesFile(1, found[0], 0, 0)
    at = n_sound = n_first = len(header(version))
    while at + _BLOCK.size <= len(content):
        n, crc = _BLOCK.unpack_from(content, at)
        begin = at + _BLOCK.size
        end = begin + n * (_RECORD.itemsize if version == 1 else 1)
        if end > len(content):
            break
        is_sound = zlib.crc32(content[begin:end]) == crc
        minutes = _read_block(content[begin:end], version) if is_sound else None
        if minutes is not None:
            found.append(minutes)
            n_sound += end - at
            if n_first == at:
                n_first = end
        at = end
    return MinutesFile(version, joined(found), n_sound, n_first)


def _read_block(content: bytes, version: int) -> RecordedMinutes | None:
    """Return the minutes of a block; None if its length is impossible."""
    names: list[str] = []
    if version > 1:
        if len(content) < _NAMES.size:
            return None
        (n_bytes,) = _NAMES.unpack_from(content)
        encoded = content[_NAMES.size : _NAMES.size + n_bytes]
        names = encoded.decode(errors="replace").split(_BETWEEN_NAMES) if encoded else []
        content = content[_NAMES.size + n_bytes :]
    n, rest = divmod(len(content), _RECORD.itemsize + 4 * len(names))
    if rest:
        return None
    records: NDArray[Any] = np.frombuffer(content, dtype=_RECORD, count=n)
    values: F32 = np.frombuffer(content, dtype="<f4", offset=n * _RECORD.itemsize).astype(np.float32)
    coded = records["minute"].astype(np.int64)
    submeters_kw = dict(zip(names, values.reshape(len(names), n), strict=True))
    return RecordedMinutes(coded // 2, records["gap_kw"].astype(np.float32), coded % 2 == 1, submeters_kw)
