"""The identity of a checkpoint folder: written beside Spark's own files at the first start, checked at later starts."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gapcast.core.errors import SettingsError
from gapcast.private_files import PART_SUFFIX, make_private_folder, open_private, replacement_of, write_private
from gapcast_fleet.engine.identity import Identity, read_identity

#: The folder of Spark's own files in a checkpoint.
SPARK_FOLDER = "spark"
_FILE = "gapcast.json"
_LOCK = "lock"
#: What a start that was killed before it created the checkpoint leaves in the folder; the last one by version 0.1.0.
_BEFORE_CREATION = frozenset({_LOCK, _FILE + PART_SUFFIX, f".{_FILE}{PART_SUFFIX}"})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint folder, and the number of buckets over which its devices are distributed."""

    folder: Path
    n_buckets: int


@contextmanager
def lock_checkpoint(folder: Path) -> Iterator[None]:
    """Lock the checkpoint in ``folder`` for this process; the kernel releases the lock when the process ends.

    Raises :class:`SettingsError` if another process holds the lock, or if locking fails.
    """
    with ExitStack() as stack:
        try:
            make_private_folder(folder)
            lock = open_private(folder / _LOCK, os.O_RDWR)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            fix = "stop it first, or use another checkpoint"
            msg = f"--checkpoint {folder}: in use by another gapcast-fleet: {fix}"
            raise SettingsError(msg) from error
        except OSError as error:
            msg = f"--checkpoint {folder}: must be on a file system that supports writing and locking ({error})"
            raise SettingsError(msg) from error
        yield


def open_checkpoint(folder: Path, identity: Identity, n_buckets: int | None, default_buckets: int) -> Checkpoint:
    """Return the checkpoint in ``folder``, created if it is new.

    Raises :class:`SettingsError` if it was created with other models, settings or buckets, and
    :class:`~gapcast.core.errors.StateError` if it has another version.
    """
    path = folder / _FILE
    if not path.exists():
        if folder.is_dir() and any(entry.name not in _BEFORE_CREATION for entry in folder.iterdir()):
            msg = f"--checkpoint {folder}: is not empty, and not a checkpoint of gapcast-fleet"
            raise SettingsError(msg)
        n_buckets = n_buckets or default_buckets
        make_private_folder(folder)
        document = {"buckets": n_buckets, "identity": json.loads(identity.text())}
        with replacement_of(path) as part:
            write_private(part, f"{json.dumps(document, indent=1)}\n".encode())
        return Checkpoint(folder, n_buckets)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        stored_buckets, stored = int(found["buckets"]), json.dumps(found["identity"])
    except (ValueError, LookupError, TypeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise SettingsError(msg) from error
    if problem := identity.unlike(read_identity(stored)):
        fix = "use those models and settings again, or a new checkpoint"
        msg = f"--checkpoint {folder}: was created with other models or settings ({problem}): {fix}"
        raise SettingsError(msg)
    if n_buckets not in {None, stored_buckets}:
        msg = (
            f"--buckets {n_buckets}: the checkpoint in {folder} was created with {stored_buckets}, which cannot change"
        )
        raise SettingsError(msg)
    return Checkpoint(folder, stored_buckets)
