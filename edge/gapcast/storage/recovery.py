"""Restores an engine from files: the newest readable checkpoint, and the journals after it.

A damaged file is used as far as it can be read, and renamed, never removed: a checkpoint at once, because the files
before it contain the same state; a journal only after a checkpoint contains its readable records. A file that cannot be
opened or read, or for which memory does not suffice, is not damaged: nothing is restored then, and the file stays
unchanged.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.snapshots.journal_replay import JournalReplay
from gapcast.core.snapshots.snapshot_restoration import changed_horizons, restore_snapshot
from gapcast.core.snapshots.state_changes import ForgottenDevice, ReplacedPlan
from gapcast.service.ports.broker_link import Meters
from gapcast.storage.checkpoints import checkpoint
from gapcast.storage.checkpoints.changed_configuration import log_changed_configuration
from gapcast.storage.files.disk_problems import DamagedJournals, named_errors, quarantine_file
from gapcast.storage.generations import checkpoint_path, files_of, journal_path
from gapcast.storage.journals import journal, journal_reader
from gapcast.storage.journals.record_lines import salt_of

log = structlog.get_logger(__name__)

#: Maximum number of devices named in a message.
_MAX_NAMED = 5


class Recovered(NamedTuple):
    """The result of a recovery: the newest generation, and whether its journal ``can_continue``.

    ``journal_bytes``, without first lines, and ``journal_readings`` are the amount to replay after a checkpoint of
    ``checkpoint_bytes``; the newest journal has ``journal_records``. ``forgotten``: devices that the journals forget,
    and that older files may still contain. ``changed_horizons``: the old and the new horizon of each device whose
    learned state was discarded because of them. ``damage`` says what was damaged and what was used instead, if anything
    was damaged; ``damaged_journals`` are to be quarantined after the next checkpoint.
    """

    generation: int
    can_continue: bool
    journal_bytes: int
    journal_readings: int
    journal_records: int
    checkpoint_bytes: int
    forgotten: Sequence[str]
    changed_horizons: Mapping[str, tuple[int, int]]
    damage: str
    damaged_journals: DamagedJournals


def recover(folder: Path, engine: Engine, meters: Meters) -> Recovered:
    """Restore ``engine`` and ``meters``, which must be new, from the files in ``folder``.

    Raises :class:`StateError` if a file is of a newer version, and OSError, which names the file, if the folder or a
    file cannot be read; nothing is restored then. A bad block of the disk (EIO) counts as damage; in a checkpoint, only
    if another one can be read.
    """
    recovery = _Recovery(folder, engine, meters)
    try:
        return recovery.run()
    except OSError:
        recovery.forget_devices()
        raise


class _UsedCheckpoint(NamedTuple):
    """The restored checkpoint; of generation 0 if there is none."""

    generation: int = 0
    n_bytes: int = 0
    name: str = "no checkpoint"


class _Recovery:
    """One recovery of ``engine`` and ``meters``, with the damage that it finds."""

    def __init__(self, folder: Path, engine: Engine, meters: Meters) -> None:
        self._folder, self._engine, self._meters = folder, engine, meters
        self._files = files_of(folder)
        self._generations = sorted(set(self._files.values()))
        self._damages: list[str] = []
        self._damaged_journals = DamagedJournals()
        self._changed_horizons: dict[str, tuple[int, int]] = {}

    def run(self) -> Recovered:
        """Restore the newest readable checkpoint, and replay the journals after it."""
        used = self._restore_newest_checkpoint()
        has_checkpoints = any(path.suffix == ".npz" for path in self._files)
        can_continue = used.generation > 0 or not has_checkpoints
        replay, n_bytes, last_record, n_journals = JournalReplay(self._engine), 0, 0, 0
        for generation in self._generations:
            path = journal_path(self._folder, generation)
            if generation >= used.generation and path in self._files:
                n_journals += 1
                n_bytes += max(0, path.stat().st_size - len(journal.encode_header()))
                with named_errors(path):
                    is_sound, last_record = self._replay_journal(path, generation, replay)
                can_continue = can_continue and is_sound
        with named_errors(self._folder):
            self._finish(replay)
        newest = self._generations[-1] if self._generations else 0
        n_devices = len(self._engine.buffers)
        log.info("state.restored", path=str(self._folder), devices=n_devices, replayed=replay.n_readings)
        return Recovered(
            generation=newest,
            can_continue=can_continue and not self._damages and journal_path(self._folder, newest) in self._files,
            journal_bytes=n_bytes,
            journal_readings=replay.n_readings,
            journal_records=last_record,
            checkpoint_bytes=used.n_bytes,
            forgotten=replay.forgotten,
            changed_horizons=self._changed_horizons,
            damage=self._report_damage(used.name, n_journals),
            damaged_journals=self._damaged_journals,
        )

    def _finish(self, replay: JournalReplay) -> None:
        try:
            replay.finish()
        except MemoryError:
            raise
        except Exception as error:
            self._damages.append(f"the newest forecasts could not be repeated ({type(error).__name__}: {error})")

    def forget_devices(self) -> None:
        """Forget all devices; the next device gets the first row again."""
        for device in list(self._engine.buffers):
            self._engine.forget(device)
            self._meters.forget(device)

    def _report_damage(self, used: str, n_journals: int) -> str:
        """Log what was damaged and what was ``used`` instead, and return it in a sentence; empty without damage."""
        if not self._damages:
            return ""
        problem = "; ".join(self._damages)
        log.warning("state.recovered", path=str(self._folder), problem=problem, used=used, journals=n_journals)
        return f"{problem}. Used instead: {used} and {n_journals} journals after it"

    def _restore_newest_checkpoint(self) -> _UsedCheckpoint:
        bad_blocks: list[tuple[Path, OSError]] = []
        for generation in reversed(self._generations):
            path = checkpoint_path(self._folder, generation)
            if path not in self._files:
                continue
            try:
                with named_errors(path):
                    is_used = self._restore_checkpoint(path)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                bad_blocks.append((path, error))
                continue
            if is_used:
                self._damages += [
                    quarantine_file(bad, f"it cannot be read ({error.__cause__})") for bad, error in bad_blocks
                ]
                return _UsedCheckpoint(generation, path.stat().st_size, path.name)
        if bad_blocks:
            raise bad_blocks[0][1]
        return _UsedCheckpoint()

    def _restore_checkpoint(self, path: Path) -> bool:
        """Restore the checkpoint at ``path``; return whether it was used, and record any damage.

        Raises OSError and MemoryError if it cannot be read.
        """
        engine, meters = self._engine, self._meters
        try:
            snapshot = checkpoint.read(path)
        except checkpoint.DamagedError as error:
            self._damages.append(quarantine_file(path, str(error)))
            return False
        try:
            problems = restore_snapshot(engine, snapshot, releases=True)
            if snapshot.channels == engine.buffers.channels:
                meters.restore_state(snapshot.meters)
        except StateError as error:
            log.warning(
                "state.not_used", path=str(path), problem=str(error), fix="the windows fill again with new readings"
            )
            return False
        except MemoryError:
            raise
        except Exception as error:  # from a crafted file with a valid digest
            self.forget_devices()
            self._damages.append(quarantine_file(path, f"it cannot be restored ({type(error).__name__}: {error})"))
            return False
        if problems.learning:
            log.warning(
                "state.learning_not_restored",
                path=str(path),
                problem=problems.learning,
                fix="online learning starts again for each device",
            )
        self._changed_horizons = changed_horizons(engine, snapshot)
        log_changed_configuration(path, engine, snapshot, self._changed_horizons)
        if problems.devices:
            problem = f"values of {len(problems.devices)} devices are out of range; these devices start again"
            self._damages.append(f"{path.name}: {problem} ({', '.join(problems.devices[:_MAX_NAMED])})")
            log.warning("state.out_of_range", path=str(path), problem=problem, devices=problems.devices[:_MAX_NAMED])
        return True

    def _replay_journal(self, path: Path, generation: int, replay: JournalReplay) -> tuple[bool, int]:
        """Replay the journal at ``path``; return whether it can be continued, and the number of its last record.

        Raises OSError and MemoryError if it cannot be read, except for a bad block.
        """
        damage, n_failed, failure = journal_reader.Damage(), 0, ""
        try:
            for entry in journal_reader.read(path, damage, salt_of(generation)):
                try:
                    _replay_entry(entry, replay, self._meters)
                except MemoryError:
                    raise
                except Exception as error:  # from a crafted record with a valid digest
                    n_failed, failure = n_failed + 1, f"{type(error).__name__}: {error}"
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._damages.append(self._damaged_journals.add(path, f"it cannot be read ({error})"))
            return False, 0
        if n_failed:
            self._damages.append(f"{path.name}: {n_failed} records could not be replayed ({failure})")
        if description := str(damage):
            self._damages.append(self._damaged_journals.add(path, f"{description}; all others were used"))
        elif damage.n_bytes_cut:
            log.info("state.cut_short", path=str(path), n_bytes=damage.n_bytes_cut)
        return not (damage or damage.is_older or n_failed), damage.last


def _replay_entry(entry: journal.Entry, replay: JournalReplay, meters: Meters) -> None:
    if isinstance(entry, journal.PersistedBatch):
        replay.replay_batch(entry.readings, entry.issued_at_ms)
        meters.replay_samples(entry.samples, entry.readings, entry.issued_at_ms)
    elif isinstance(entry, ReplacedPlan):
        replay.replace_plan(entry.device, entry.plan)
    elif isinstance(entry, ForgottenDevice):
        replay.forget(entry.device)
        meters.forget(entry.device)
    else:
        replay.change_demand(entry)
