"""Restores an engine from files: the newest readable checkpoint, and the journals after it.

A damaged file is used as far as it can be read, and renamed, never removed: a checkpoint at once, because the files
before it have the same state; a journal only when there is a checkpoint of what was read of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import structlog

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.journal_replay import JournalReplay
from gapcast.core.snapshot_restoration import changed_horizons, restore_snapshot
from gapcast.service.ports import Meters
from gapcast.storage import checkpoint, journal, journal_reader
from gapcast.storage.generations import checkpoint_path, files_of, journal_path
from gapcast.storage.record_lines import salt_of

log = structlog.get_logger(__name__)

_DAMAGED_SUFFIX = ".damaged"
#: Maximum number of devices named in a message.
_MAX_NAMED = 5


class DamagedJournals:
    """Journals that a recovery found damaged, to be renamed once a checkpoint has what could be read of them."""

    def __init__(self) -> None:
        self._problems: dict[Path, str] = {}

    def add(self, path: Path, problem: str) -> str:
        """Add the journal at ``path``; return a description."""
        self._problems[path] = problem
        return f"{path.name}: {problem}"

    def set_aside(self) -> None:
        """Rename the journals, once; one that a forgotten device was in may have been removed."""
        problems, self._problems = self._problems, {}
        for path, problem in problems.items():
            if path.exists():
                set_aside(path, problem)


class Recovered(NamedTuple):
    """The result of a recovery: the newest generation, and whether its journal is ``sound`` and can be continued.

    ``journal_bytes``, without first lines, and ``journal_readings`` are those to replay after a checkpoint of
    ``checkpoint_bytes``; the newest journal has ``journal_records``. ``forgets``: the journals forget a device that
    older files may still contain. ``damage`` says what was damaged and what was used instead, if anything was;
    ``damaged_journals`` are to be set aside after the next checkpoint.
    """

    generation: int
    sound: bool
    journal_bytes: int
    journal_readings: int
    checkpoint_bytes: int
    forgets: bool
    damaged_journals: DamagedJournals
    journal_records: int = 0
    damage: str = ""


def recover(folder: Path, engine: Engine, meters: Meters) -> Recovered:
    """Restore ``engine`` and ``meters``, which must be new, from the files in ``folder``.

    Raises :class:`StateError` if a file is of a newer version, and OSError if the folder cannot be read.
    """
    files = files_of(folder)
    generations = sorted(set(files.values()))
    base, checkpoint_bytes = 0, 0
    damages: list[str] = []
    damaged_journals = DamagedJournals()
    used = "no checkpoint"
    for generation in reversed(generations):
        path = checkpoint_path(folder, generation)
        if path in files and _restore_checkpoint(path, engine, meters, damages):
            base, checkpoint_bytes, used = generation, path.stat().st_size, path.name
            break
    sound = not generations or base > 0 or not any(path.suffix == ".npz" for path in files)
    replay, journal_bytes, last_record, n_journals = JournalReplay(engine), 0, 0, 0
    for generation in generations:
        path = journal_path(folder, generation)
        if generation >= base and path in files:
            n_journals += 1
            journal_bytes += max(0, path.stat().st_size - len(journal.encode_header()))
            is_sound, last_record = _replay_journal(path, generation, replay, meters, damages, damaged_journals)
            sound = sound and is_sound
    try:
        replay.finish()
    except Exception as error:
        damages.append(f"the newest forecasts could not be repeated ({type(error).__name__}: {error})")
    newest = generations[-1] if generations else 0
    log.info("state.restored", path=str(folder), devices=len(engine.buffers), replayed=replay.n_readings)
    damage = ""
    if damages:
        damage = f"{'; '.join(damages)}. Used instead: {used} and {n_journals} journals after it"
        log.warning("state.recovered", path=str(folder), problem="; ".join(damages), used=used, journals=n_journals)
    sound = sound and not damages and journal_path(folder, newest) in files
    return Recovered(
        newest, sound, journal_bytes, replay.n_readings, checkpoint_bytes, bool(replay.n_forgotten), damaged_journals,
        last_record, damage,
    )  # fmt: skip


def _restore_checkpoint(path: Path, engine: Engine, meters: Meters, damages: list[str]) -> bool:
    """Restore the checkpoint at ``path``; return whether it was used, and add any damage to ``damages``."""
    try:
        snapshot = checkpoint.read(path)
    except OSError as error:
        damages.append(set_aside(path, f"it cannot be read ({error})"))
        return False
    except checkpoint.DamagedError as error:
        damages.append(set_aside(path, str(error)))
        return False
    try:
        problems = restore_snapshot(engine, snapshot, releases=True)
        if snapshot.channels == engine.buffers.channels:
            meters.restore_state(snapshot.meters)
    except StateError as error:
        log.warning(
            "state.not_used", path=str(path), problem=str(error), cure="the windows fill again with new readings"
        )
        return False
    except Exception as error:  # from a crafted file with a valid digest
        for device in list(engine.buffers):  # the next checkpoint's first device gets the first row again
            engine.forget(device)
            meters.forget(device)
        damages.append(set_aside(path, f"it cannot be restored ({type(error).__name__}: {error})"))
        return False
    if problems.learning:
        log.warning(
            "state.learning_not_restored",
            path=str(path),
            problem=problems.learning,
            cure="online learning starts again for each device",
        )
    if changed := changed_horizons(engine, snapshot):
        changes = [f"{device}: {old_min} to {own_min} min" for device, (old_min, own_min) in changed.items()]
        log.info("state.horizon_changed", path=str(path), n_devices=len(changes), devices=changes[:_MAX_NAMED])
    if problems.devices:
        problem = f"values of {len(problems.devices)} devices are out of range; these devices start again"
        damages.append(f"{path.name}: {problem} ({', '.join(problems.devices[:_MAX_NAMED])})")
        log.warning("state.out_of_range", path=str(path), problem=problem, devices=problems.devices[:_MAX_NAMED])
    return True


def _replay_journal(
    path: Path,
    generation: int,
    replay: JournalReplay,
    meters: Meters,
    damages: list[str],
    damaged_journals: DamagedJournals,
) -> tuple[bool, int]:
    """Replay the journal at ``path``; return whether it can be continued, and the number of its last record."""
    damage, n_failed, failure = journal_reader.Damage(), 0, ""
    try:
        for entry in journal_reader.read(path, damage, salt_of(generation)):
            try:
                _replay_entry(entry, replay, meters)
            except Exception as error:  # from a crafted record with a valid digest
                n_failed, failure = n_failed + 1, f"{type(error).__name__}: {error}"
    except OSError as error:
        damages.append(damaged_journals.add(path, f"it cannot be read ({error})"))
        return False, 0
    if n_failed:
        damages.append(f"{path.name}: {n_failed} records could not be replayed ({failure})")
    if description := str(damage):
        damages.append(damaged_journals.add(path, f"{description}; all others were used"))
    elif damage.n_bytes_cut:
        log.info("state.cut_short", path=str(path), n_bytes=damage.n_bytes_cut)
    return not (damage or damage.is_older or n_failed), damage.last


def _replay_entry(entry: journal.Entry, replay: JournalReplay, meters: Meters) -> None:
    if isinstance(entry, journal.PersistedBatch):
        replay.replay_batch(entry.readings, entry.issued_at_ms)
        meters.replay_samples(entry.samples, entry.readings, entry.issued_at_ms)
    elif isinstance(entry, journal.ReplacedPlan):
        replay.replace_plan(entry.device, entry.plan)
    elif isinstance(entry, journal.Forgotten):
        replay.forget(entry.device)
        meters.forget(entry.device)
    else:
        replay.change_demand(entry)


def set_aside(path: Path, problem: str) -> str:
    """Rename a damaged file, log the problem, and return a description."""
    n = 1
    while (new_path := path.with_name(f"{path.name}{_DAMAGED_SUFFIX}-{n}")).exists():
        n += 1
    logged = problem
    try:
        path.rename(new_path)
    except OSError as error:
        new_path, logged = path, f"{problem}; it cannot be renamed ({error})"
    log.warning("state.damaged", path=str(path), problem=logged, kept_as=str(new_path), cure="check the disk")
    return f"{path.name}: {problem}"
