"""From the files to a running engine: the newest checkpoint that can be read, and the journals after it.

Files come in generations: ``checkpoint-00000007.npz`` holds all that was kept before ``readings-00000007.jsonl``
began. What is damaged is used as far as it can be read, and set aside under another name: never removed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import structlog

from edge.core.engine import Engine
from edge.core.errors import StateError
from edge.core.replaying import Replay
from edge.core.snapshot import Snapshot, give
from edge.ports import Meters
from edge.storage import checkpoint, journal

log = structlog.get_logger(__name__)

_JOURNAL, _CHECKPOINT = "readings-{:08d}.jsonl", "checkpoint-{:08d}.npz"
_NAME = re.compile(r"(?:readings-(\d{8})\.jsonl|checkpoint-(\d{8})\.npz)")
_ASIDE = ".damaged"


class Recovered(NamedTuple):
    """What was found: the newest generation, and whether its journal may simply be continued.

    ``journal_bytes`` and ``journal_readings`` are those that must be replayed on top of a checkpoint of
    ``checkpoint_bytes``. ``forgets``: a device was forgotten in them, of which older files may still tell.
    """

    generation: int
    sound: bool
    journal_bytes: int
    journal_readings: int
    checkpoint_bytes: int
    forgets: bool


def journal_path(folder: Path, generation: int) -> Path:
    """Return where a generation's journal is."""
    return folder / _JOURNAL.format(generation)


def checkpoint_path(folder: Path, generation: int) -> Path:
    """Return where a generation's checkpoint is."""
    return folder / _CHECKPOINT.format(generation)


def files_of(folder: Path) -> dict[Path, int]:
    """Return the files of state in ``folder``, each with its generation."""
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
    return {path: int(match[1] or match[2]) for path, match in found if match}


def recover(folder: Path, engine: Engine, meters: Meters) -> Recovered:
    """Put ``engine`` and ``meters``, which must be new, where the files in ``folder`` end.

    Raises :class:`StateError` where one of them is of a newer version, and OSError where the folder cannot
    be read.
    """
    files = files_of(folder)
    generations = sorted(set(files.values()))
    base, checkpoint_bytes, sound = 0, 0, True
    for generation in reversed(generations):
        path = checkpoint_path(folder, generation)
        if path in files:
            usable = _begin(path, engine, meters)
            if usable:
                base, checkpoint_bytes = generation, path.stat().st_size
                break
            sound = False
    replay, journal_bytes = Replay(engine), 0
    for generation in generations:
        path = journal_path(folder, generation)
        if generation >= base and path in files:
            journal_bytes += path.stat().st_size
            sound = _replay(path, replay, meters) and sound
    replay.finish()
    newest = generations[-1] if generations else 0
    log.info("state.restored", path=str(folder), devices=len(engine.buffers), replayed=replay.n_readings)
    sound = sound and journal_path(folder, newest) in files
    forgets = bool(replay.n_forgotten)
    return Recovered(newest, sound, journal_bytes, replay.n_readings, checkpoint_bytes, forgets)


def remove_old(folder: Path, clean_from: int = 0) -> None:
    """Remove what the newest two checkpoints make needless: where the newest proves damaged, the other serves.

    Before ``clean_from`` nothing stays, once there is a checkpoint of that generation or a later one: it tells of
    a device that was forgotten.
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
    """Write a checkpoint whole or not at all, then remove what it makes needless; return its size in bytes.

    ``clean_from`` as for :func:`remove_old`.
    """
    content = checkpoint.encode(snapshot)
    part = folder / "checkpoint.part"
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(checkpoint_path(folder, generation))
    names = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(names)
    finally:
        os.close(names)
    remove_old(folder, clean_from)
    return len(content)


def _begin(path: Path, engine: Engine, meters: Meters) -> bool:
    """Give ``engine`` and ``meters`` the checkpoint at ``path``; tell whether it is one that can be used."""
    try:
        snapshot = checkpoint.read(path)
    except OSError as error:
        set_aside(path, f"it cannot be read ({error})")
        return False
    if snapshot is None:
        set_aside(path, "a checksum is wrong, or it was cut short")
        return False
    try:
        problem = give(engine, snapshot)
    except StateError as error:
        log.warning("state.not_used", path=str(path), problem=str(error), cure="the windows fill again from now on")
        return False
    if problem:
        log.warning("state.learnt_not_used", path=str(path), problem=problem, cure="each house is learnt anew")
    if snapshot.channels == engine.buffers.channels:
        meters.resume(snapshot.meters)
    return True


def _replay(path: Path, replay: Replay, meters: Meters) -> bool:
    """Take the engine and the meters through the journal at ``path``; tell whether all of it could be read."""
    damage = journal.Damage()
    try:
        for entry in journal.read(path, damage):
            if isinstance(entry, journal.Forgotten):
                replay.forget(entry.device)
                meters.forget(entry.device)
            else:
                replay.take(entry.readings, entry.issued_at_ms)
                meters.recall(entry.samples, entry.readings, entry.issued_at_ms)
    except OSError as error:
        set_aside(path, f"it cannot be read ({error})")
        return False
    if damage.n_bad_lines:
        set_aside(path, f"{damage.n_bad_lines} lines have a wrong checksum; the others were used")
    elif damage.n_bytes_cut:
        log.info("state.cut_short", path=str(path), n_bytes=damage.n_bytes_cut)
    return not damage


def set_aside(path: Path, problem: str) -> None:
    """Give a damaged file another name, and say so."""
    n = 1
    while (aside := path.with_name(f"{path.name}{_ASIDE}-{n}")).exists():
        n += 1
    try:
        path.rename(aside)
    except OSError as error:
        aside, problem = path, f"{problem}; it cannot be renamed ({error})"
    log.warning("state.damaged", path=str(path), problem=problem, kept_as=str(aside), cure="check the disk")
