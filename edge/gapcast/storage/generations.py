"""Generations of state files: ``checkpoint-00000007.npz`` has the state at the start of ``readings-00000007.jsonl``.

Each checkpoint begins a generation. Its file is first written under another name, so that it is complete or does not
exist; then the generations that it supersedes are removed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.private_files import make_private_folder
from gapcast.storage.checkpoints import checkpoint

_JOURNAL, _CHECKPOINT = "readings-{:08d}.jsonl", "checkpoint-{:08d}.npz"
_NAME = re.compile(r"(?:readings-(\d{8})\.jsonl|checkpoint-(\d{8})\.npz)")
#: A checkpoint that is being written.
_PART = "checkpoint.part"


def journal_path(folder: Path, generation: int) -> Path:
    """Return the path of a generation's journal."""
    return folder / _JOURNAL.format(generation)


def checkpoint_path(folder: Path, generation: int) -> Path:
    """Return the path of a generation's checkpoint."""
    return folder / _CHECKPOINT.format(generation)


def files_of(folder: Path) -> dict[Path, int]:
    """Return the state files in ``folder`` with their generations."""
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
    return {path: int(match[1] or match[2]) for path, match in found if match}


def prepare_folder(folder: Path, *, is_unread: bool) -> None:
    """Create ``folder`` if it is missing. Raises OSError if ``is_unread`` and it has files of before the start."""
    make_private_folder(folder)
    if is_unread and files_of(folder):
        raise OSError(f"the state in {folder} could not be read at the start: restart gapcast to use it")


def remove_old(folder: Path, clean_from: int = 0) -> None:
    """Remove files that the newest two checkpoints supersede: if the newest is damaged, the other is used.

    Files before generation ``clean_from`` contain a forgotten device: all are removed once there is a checkpoint of
    that generation or a later one.
    """
    files = files_of(folder)
    checkpoints = sorted(generation for path, generation in files.items() if path.suffix == ".npz")
    oldest = checkpoints[-2] if len(checkpoints) > 1 else 0
    if checkpoints and checkpoints[-1] >= clean_from:
        oldest = max(oldest, clean_from)
    for path, generation in files.items():
        if generation < oldest:
            path.unlink()


def write_checkpoint(folder: Path, generation: int, snapshot: Snapshot, clean_from: int) -> int:
    """Write a checkpoint atomically, then remove the files it supersedes; return its size in bytes.

    See :func:`remove_old` for ``clean_from``.
    """
    return complete_checkpoint(folder, generation, begin_checkpoint(folder, snapshot), clean_from)


def begin_checkpoint(folder: Path, snapshot: Snapshot) -> BinaryIO:
    """Write the columns of ``snapshot``, without waiting for the disk, for :func:`complete_checkpoint`."""
    return checkpoint.create_file(folder / _PART, snapshot)


def remove_unfinished(folder: Path) -> None:
    """Remove a checkpoint that a killed process has not completed. The caller has locked ``folder``."""
    with suppress(OSError):  # the next checkpoint replaces it
        (folder / _PART).unlink(missing_ok=True)


def discard_checkpoint(folder: Path, begun: BinaryIO) -> None:
    """Remove the result of :func:`begin_checkpoint`."""
    with suppress(OSError):  # the reason for discarding it is reported
        begun.close()
    remove_unfinished(folder)


def complete_checkpoint(folder: Path, generation: int, begun: BinaryIO, clean_from: int) -> int:
    """Complete a checkpoint atomically, then remove the files it supersedes; return its size in bytes.

    See :func:`remove_old` for ``clean_from``.
    """
    n_bytes = checkpoint.complete_file(begun, folder / _PART, checkpoint_path(folder, generation))
    remove_old(folder, clean_from)
    return n_bytes
