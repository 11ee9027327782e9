"""Locks a folder for one process: a state folder, or a shard's folder, together with the models of its state.

They are kernel locks (``flock``), released however the process or the machine ends, so that no lock is ever stale. The
content of a shard's lock file only informs people about the holder.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import structlog

from gapcast.core.errors import ShardError, StateInUseError
from gapcast.private_files import make_private_folder, open_private, replacement_of, write_private
from gapcast.text.json_input import decode_json

log = structlog.get_logger(__name__)

#: Maximum wait for a process that is shutting down: it finishes its queue.
WAIT_S = 3.0
_POLL_S = 0.05
_LOCK, _MODELS = "lock", "models.json"


def lock_state(folder: Path, stopping: Event | None = None) -> int:
    """Lock the state in ``folder`` with :func:`lock_folder`; wait :data:`WAIT_S`, or until ``stopping`` is set.

    Raises :class:`StateInUseError` if another process still holds the lock after that.
    """
    try:
        return lock_folder(folder, WAIT_S, stopping)
    except BlockingIOError as error:
        msg = (
            f"another gapcast process uses {folder}: stop it first, or set a different state.path for each; "
            "if it is gapcast import, wait until it has finished"
        )
        raise StateInUseError(msg) from error


def lock_folder(folder: Path, wait_s: float = 0.0, stopping: Event | None = None) -> int:
    """Lock ``folder``, which must exist; return the descriptor, whose closing releases the lock.

    Raises :class:`BlockingIOError` if another process still holds the lock after ``wait_s`` or when ``stopping`` is
    set, and OSError if the folder cannot be locked.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _wait_for(lock, wait_s, stopping)
    except OSError:
        os.close(lock)
        raise
    return lock


def _wait_for(lock: int, wait_s: float, stopping: Event | None) -> None:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s or (stopping is not None and stopping.is_set()):
                raise
            time.sleep(_POLL_S)  # not Event.wait, which a signal that sets the event could block forever
        else:
            return


class ShardLock:
    """The lock on the folder of one shard."""

    def __init__(self, folder: Path, *, accepts_other_models: bool = False) -> None:
        self._folder = folder
        self._accepts = accepts_other_models
        self._lock: int | None = None

    def acquire(self, models: Mapping[str, str], wait_s: float = WAIT_S, stopping: Event | None = None) -> None:
        """Lock the folder for a worker with these ``models`` (name -> version and hash), until :meth:`release`.

        Raises :class:`ShardError` if another worker still holds it after ``wait_s`` or when ``stopping`` is set, if it
        cannot be locked at all, or if its state was written with other models and these are not accepted.
        """
        try:
            make_private_folder(self._folder)
            self._lock = open_private(self._folder / _LOCK, os.O_RDWR)
            self._wait(self._lock, wait_s, stopping)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
            self._check_models(models)
        except OSError as error:
            msg = f"{self._folder} cannot be locked ({error}): a shard needs a disk that can be written and locked"
            raise ShardError(msg) from error

    def _wait(self, lock: int, wait_s: float, stopping: Event | None) -> None:
        try:
            _wait_for(lock, wait_s, stopping)
        except BlockingIOError as error:
            msg = f"another worker has this shard: {self._folder} is held by {_holder(lock)}; stop it first"
            raise ShardError(msg) from error

    def _check_models(self, models: Mapping[str, str]) -> None:
        recorded = self._recorded_models()
        if recorded is not None and recorded != models:
            names = sorted(name for name in {*recorded, *models} if recorded.get(name) != models.get(name))
            differences = ", ".join(
                f"{name} {_short(recorded.get(name))}, here {_short(models.get(name))}" for name in names
            )
            if not self._accepts:
                msg = (
                    f"{self._folder} was written with other models ({differences}): install the same models on this "
                    "worker, or set state.accept_other_models = true during a rollout"
                )
                raise ShardError(msg)
            log.warning("shard.other_models", path=str(self._folder), models=differences)
        self.record_models(models)

    def _recorded_models(self) -> dict[str, str] | None:
        try:
            document = decode_json((self._folder / _MODELS).read_bytes())
            return {str(name): str(version) for name, version in document["models"].items()}
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            msg = f"{self._folder / _MODELS} is damaged ({error}): remove it to continue with this worker's models"
            raise ShardError(msg) from error

    def record_models(self, models: Mapping[str, str]) -> None:
        """Record ``models`` as the models of the shard's state from now on; raise :class:`ShardError` on failure."""
        try:
            with replacement_of(self._folder / _MODELS) as part:
                write_private(part, json.dumps({"v": 1, "models": dict(models)}).encode())
        except OSError as error:
            msg = f"{self._folder / _MODELS} cannot be written ({error})"
            raise ShardError(msg) from error

    def release(self) -> None:
        """Release the folder; no effect if it is not locked."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _holder(lock: int) -> str:
    try:
        document = decode_json(os.pread(lock, 4_096, 0))
        return f"process {document['pid']} on {document['host']}"
    except (ValueError, LookupError, TypeError):
        return "an unknown process"


def _short(version: str | None) -> str:
    """Return a version with its hash shortened, for people.

    >>> _short("1 4f73eb40aa"), _short(None)
    ('1 4f73eb40', 'none')
    """
    if version is None:
        return "none"
    number, _, digest = version.rpartition(" ")
    return f"{number} {digest[:8]}"
