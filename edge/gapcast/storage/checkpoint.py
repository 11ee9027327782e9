"""The checkpoint file: a snapshot of the engine's state in numpy's ``.npz`` format, followed by a SHA-256 digest.

The array ``about`` is JSON; the other arrays are the columns of :class:`Snapshot`. The digest is in a line
after the archive, which numpy and older versions ignore, and is checked before the archive is opened. Version 1
has no digest: the CRC-32 of every member is checked instead.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import ExitStack, suppress
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gapcast.core.errors import StateError
from gapcast.core.snapshot import Snapshot, check_shapes
from gapcast.core.state_limits import is_plausible_meter
from gapcast.core.window import WindowSpec
from gapcast.json_input import decode_json
from gapcast.private_files import create_private
from gapcast.storage.archive import read_arrays, write_arrays
from gapcast.storage.checkpoint_header import CheckpointHeader
from gapcast.storage.journal import VERSION, check_version

#: The line at the end: this label and the hexadecimal digest of everything before it.
_LABEL = b"\ngapcast-sha256 "
_DIGEST_DIGITS = 64
_TRAILER_BYTES = len(_LABEL) + _DIGEST_DIGITS + 1
_FIRST_WITH_DIGEST = 2
#: Bytes of a file that are in memory at once while its digest is computed.
_BLOCK_BYTES = 1 << 18

_COLUMNS: dict[str, type[np.generic]] = {
    "values": np.float32,
    "observed": np.uint8,
    "last_minute": np.int64,
    "n_seen": np.int32,
    "latest_kw": np.float32,
    "latest_when": np.int64,
    "latest_n_observed": np.int32,
}
#: Columns that earlier versions did not have; ``more`` lists them: weights, filled minutes, and with these
#: prefixes learning state and the quarter-hours of a week.
_SHARES, _FILLED = "latest_shares", "filled"
_WITH_PREFIX = ("learnt", "scores", "drift", "week", "outlook", "demand", "horizons")


class DamagedError(StateError):
    """A damaged checkpoint; the message says how."""


def encode(snapshot: Snapshot) -> bytes:
    """Return the file's bytes."""
    out = BytesIO()
    write(out, snapshot)
    return out.getvalue()


def write(file: BinaryIO, snapshot: Snapshot) -> int:
    """Write ``snapshot`` to ``file``, which is empty, readable and at its beginning; return its size in bytes."""
    _write_columns(file, snapshot)
    return _write_digest(file)


def _write_columns(file: BinaryIO, snapshot: Snapshot) -> None:
    more: dict[str, Any] = {_SHARES: snapshot.latest_shares}
    if snapshot.filled is not None:
        more[_FILLED] = snapshot.filled
    for part in _WITH_PREFIX:
        more |= {f"{part}/{name}": column for name, column in getattr(snapshot, part).items()}
    about = CheckpointHeader(
        version=VERSION,
        context=snapshot.spec.context,
        padding=snapshot.spec.padding,
        channels=snapshot.channels,
        model=snapshot.model,
        devices=snapshot.devices,
        held=snapshot.held,
        late_runs=snapshot.late_runs,
        meters=snapshot.meters,
        time_zone=snapshot.time_zone,
        filled_ms={one.topic: one.open_minute.filled_ms for one in snapshot.meters if one.open_minute.filled_ms},
        more=list(more),
        submeters=dict(snapshot.submeters),
        plans=snapshot.plans,
        latest_planned=snapshot.latest_planned,
    )
    header = np.frombuffer(about.model_dump_json().encode(), dtype=np.uint8)
    write_arrays(file, {"about": header, **{name: getattr(snapshot, name) for name in _COLUMNS}, **more})


def _write_digest(file: BinaryIO) -> int:
    """Write the line after the archive; return the size of the file."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # BytesIO is one
    file.seek(0, 2)
    file.write(b"%b%b\n" % (_LABEL, digest.hexdigest().encode()))
    return file.tell()


def replace_file(path: Path, part: Path, snapshot: Snapshot) -> int:
    """Write ``snapshot`` to ``part``, and then rename it to ``path``, atomically; return its size in bytes.

    Both are in one folder. Raises OSError if that fails; then ``path`` is unchanged.
    """
    return complete_file(create_file(part, snapshot), part, path)


def create_file(part: Path, snapshot: Snapshot) -> BinaryIO:
    """Write the columns of ``snapshot`` to ``part``, without waiting for the disk; :func:`complete_file` does the rest.

    Raises OSError if that fails; then ``part`` is removed, as it may fill the disk.
    """
    with ExitStack() as stack:
        stack.callback(_discard, part)
        file = stack.enter_context(create_private(part))
        _write_columns(file, snapshot)
        file.flush()
        stack.pop_all()
    return file


def complete_file(file: BinaryIO, part: Path, path: Path) -> int:
    """Complete the result of :func:`create_file` and rename it to ``path``, atomically; return its size in bytes.

    Raises OSError if that fails; then ``path`` is unchanged, and ``part`` is removed.
    """
    try:
        with file:
            n_bytes = _write_digest(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        _discard(part)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return n_bytes


def _discard(part: Path) -> None:
    with suppress(OSError):  # the reason that it is incomplete is raised
        part.unlink(missing_ok=True)


def read(path: Path) -> Snapshot:
    """Return the snapshot at ``path``.

    Raises :class:`DamagedError` if it is damaged, :class:`StateError` if it is of a newer version, and OSError
    if it cannot be read at all.
    """
    with path.open("rb") as file:
        return _decode(path, file)


def decode(path: Path, content: bytes) -> Snapshot:
    """Decode the snapshot in ``content``, the bytes of ``path``.

    Raises :class:`DamagedError` if it is damaged, whatever its bytes, and :class:`StateError` if it is of a newer
    version.
    """
    return _decode(path, BytesIO(content))


def _decode(path: Path, file: BinaryIO) -> Snapshot:
    """Decode the snapshot in ``file``, of which no more than its arrays is in memory; see :func:`read`."""
    n_before_trailer = max(0, file.seek(0, SEEK_END) - _TRAILER_BYTES)
    file.seek(n_before_trailer)
    trailer = file.read()
    has_digest = trailer.startswith(_LABEL)
    if has_digest and trailer[len(_LABEL) :] != _digest_of(file, n_before_trailer).encode() + b"\n":
        msg = "its digest is wrong"
        raise DamagedError(msg)
    try:
        return _parse(path, file, has_digest=has_digest)
    except StateError:
        raise
    except Exception as error:  # a crafted archive, or one without a digest, may raise any
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: at an impossible place of the file
            raise
        msg = f"it cannot be parsed ({type(error).__name__}: {str(error)[:200]})"
        raise DamagedError(msg) from error


def _digest_of(file: BinaryIO, n_bytes: int) -> str:
    """Return the digest of the first ``n_bytes`` of ``file``."""
    digest = hashlib.sha256()
    file.seek(0)
    while n_bytes > 0 and (block := file.read(min(n_bytes, _BLOCK_BYTES))):
        digest.update(block)
        n_bytes -= len(block)
    return digest.hexdigest()


def _parse(path: Path, file: BinaryIO, *, has_digest: bool) -> Snapshot:
    arrays = read_arrays(file)
    header = arrays["about"].tobytes()
    version = decode_json(header)["version"]
    check_version(path, version)
    if not has_digest and version >= _FIRST_WITH_DIGEST:
        msg = "its digest is missing: it is truncated"
        raise DamagedError(msg)
    about = CheckpointHeader.model_validate_json(header)
    columns: dict[str, Any] = {name: arrays[name].astype(kind, casting="equiv") for name, kind in _COLUMNS.items()}
    more = {name: arrays[name] for name in about.more}
    for part in _WITH_PREFIX:
        columns[part] = {n.removeprefix(f"{part}/"): column for n, column in more.items() if n.startswith(f"{part}/")}
    snapshot = Snapshot(
        spec=WindowSpec(about.context, about.padding),
        channels=about.channels,
        model=about.model,
        devices=about.devices,
        held=about.held,
        late_runs=about.late_runs,
        latest_shares=more.get(_SHARES, np.zeros((len(about.devices), 0), dtype=np.float32)),
        meters=[meter for meter in map(about.with_filled, about.meters) if is_plausible_meter(meter)],
        filled=more[_FILLED].astype(np.uint8, casting="equiv") if _FILLED in more else None,
        time_zone=about.time_zone,
        submeters=about.submeters,
        plans=about.plans,
        latest_planned=about.latest_planned,
        **columns,
    )
    try:
        check_shapes(snapshot)
    except StateError as error:
        msg = f"its columns do not fit each other: {error}"
        raise DamagedError(msg) from error
    return snapshot
