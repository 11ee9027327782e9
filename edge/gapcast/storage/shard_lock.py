"""A shard's folder, held by one process alone, and the models that it was kept with.

The lock is the kernel's (``flock``), on a file beside the state: however the process or the machine ends, it is gone,
and no file that was left behind needs to be judged. What stands in the file only tells people who has it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from gapcast.core.errors import ShardError
from gapcast.json_input import decode_json
from gapcast.private_files import create_private, make_private_folder, open_private

log = structlog.get_logger(__name__)

#: Longest that a worker is waited for that is ending: it finishes what is queued.
WAIT_S = 3.0
_POLL_S = 0.05
_LOCK, _MODELS = "lock", "models.json"


class ShardLock:
    """The folder of one shard."""

    def __init__(self, folder: Path, *, accepts_other_models: bool = False) -> None:
        self._folder = folder
        self._accepts = accepts_other_models
        self._lock: int | None = None

    def acquire(self, models: Mapping[str, str], wait_s: float = WAIT_S) -> None:
        """Hold the folder for a worker with these ``models`` (name -> version and hash), until :meth:`release`.

        Raises :class:`ShardError` where another holds it after ``wait_s`` still, where it cannot be held at all, or
        where it was kept with other models and these are not accepted.
        """
        try:
            make_private_folder(self._folder)
            self._lock = open_private(self._folder / _LOCK, os.O_RDWR)
            self._wait(self._lock, wait_s)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
            self._compare(models)
        except OSError as error:
            msg = f"{self._folder} cannot be held ({error}): a shard needs a disk that can be written and locked"
            raise ShardError(msg) from error

    def _wait(self, lock: int, wait_s: float) -> None:
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= deadline_s:
                    msg = (
                        f"another worker has this shard: {self._folder} is held by {_holder(lock)}; end that one first"
                    )
                    raise ShardError(msg) from error
                time.sleep(_POLL_S)
            else:
                return

    def _compare(self, models: Mapping[str, str]) -> None:
        kept = self._kept_with()
        if kept is not None and kept != models:
            unlike = sorted(name for name in {*kept, *models} if kept.get(name) != models.get(name))
            told = ", ".join(f"{name} {_short(kept.get(name))}, here {_short(models.get(name))}" for name in unlike)
            if not self._accepts:
                msg = (
                    f"{self._folder} was kept with other models ({told}): give this worker the same, "
                    "or say state.accept_other_models = true while new ones are rolled out"
                )
                raise ShardError(msg)
            log.warning("shard.other_models", path=str(self._folder), models=told)
        self.record_models(models)

    def _kept_with(self) -> dict[str, str] | None:
        try:
            document = decode_json((self._folder / _MODELS).read_bytes())
            return {str(name): str(version) for name, version in document["models"].items()}
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            msg = f"{self._folder / _MODELS} is damaged ({error}): remove it where these are the models to go on with"
            raise ShardError(msg) from error

    def record_models(self, models: Mapping[str, str]) -> None:
        """Note that the shard is kept with ``models`` from here on; raise :class:`ShardError` where that fails."""
        part = self._folder / f"{_MODELS}.part"
        try:
            with create_private(part) as file:
                file.write(json.dumps({"v": 1, "models": dict(models)}).encode())
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._folder / _MODELS)
        except OSError as error:
            msg = f"{self._folder / _MODELS} cannot be written ({error})"
            raise ShardError(msg) from error

    def release(self) -> None:
        """Let another have the folder; no effect where it is not held."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _holder(lock: int) -> str:
    try:
        document = decode_json(os.pread(lock, 4_096, 0))
        return f"process {document['pid']} on {document['host']}"
    except (ValueError, LookupError, TypeError):
        return "a process that did not say which"


def _short(version: str | None) -> str:
    """Return a version as people tell it apart: its hash cut short.

    >>> _short("1 4f73eb40aa"), _short(None)
    ('1 4f73eb40', 'none')
    """
    if version is None:
        return "none"
    said, _, digest = version.rpartition(" ")
    return f"{said} {digest[:8]}"
