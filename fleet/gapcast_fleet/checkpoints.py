"""What a checkpoint folder is of: written beside Spark's own files at the first start, checked at each other."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gapcast.core.errors import SettingsError
from gapcast.private_files import create_private, make_private_folder, open_private
from gapcast_fleet.identity import Identity, read_identity

_FILE = "gapcast.json"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint folder, and into how many buckets its devices are dealt."""

    folder: Path
    n_buckets: int


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have the checkpoint in ``folder`` for this process alone: the lock is the kernel's, and ends with the process.

    Raises :class:`SettingsError` where another has it, or where none can.
    """
    with ExitStack() as stack:
        try:
            make_private_folder(folder)
            lock = open_private(folder / _LOCK, os.O_RDWR)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            cure = "end that one first, or begin another checkpoint"
            msg = f"--checkpoint {folder}: another gapcast-fleet goes on from it now: {cure}"
            raise SettingsError(msg) from error
        except OSError as error:
            msg = f"--checkpoint {folder}: must be on a disk that can be written and locked ({error})"
            raise SettingsError(msg) from error
        yield


def open_checkpoint(folder: Path, identity: Identity, n_buckets: int | None, default_buckets: int) -> Checkpoint:
    """Return the checkpoint in ``folder``, begun there where it is new.

    Raises :class:`SettingsError` where it was begun by other models, another use of them, or with other buckets, and
    :class:`~gapcast.core.errors.StateError` where it is of another version.
    """
    path = folder / _FILE
    if not path.exists():
        if folder.is_dir() and any(entry.name != _LOCK for entry in folder.iterdir()):
            msg = f"--checkpoint {folder}: is not empty, and no checkpoint of gapcast-fleet"
            raise SettingsError(msg)
        n_buckets = n_buckets or default_buckets
        make_private_folder(folder)
        part = folder / f".{_FILE}.part"
        document = {"buckets": n_buckets, "identity": json.loads(identity.text())}
        with create_private(part) as file:
            file.write(f"{json.dumps(document, indent=1)}\n".encode())
        part.replace(path)
        return Checkpoint(folder, n_buckets)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kept_buckets, kept = int(found["buckets"]), json.dumps(found["identity"])
    except (ValueError, LookupError, TypeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise SettingsError(msg) from error
    if problem := identity.unlike(read_identity(kept)):
        cure = "give it those models and settings again, or begin a new checkpoint"
        msg = f"--checkpoint {folder}: was begun otherwise, and that is part of its state ({problem}): {cure}"
        raise SettingsError(msg)
    if n_buckets not in {None, kept_buckets}:
        msg = f"--buckets {n_buckets}: the checkpoint in {folder} was begun with {kept_buckets}: they cannot change"
        raise SettingsError(msg)
    return Checkpoint(folder, kept_buckets)
