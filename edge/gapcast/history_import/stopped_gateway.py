"""The engine and the state folder of a gateway whose service is stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gapcast.app.broker.link import source_reader_of
from gapcast.app.engines.device_limit import limit_devices_here
from gapcast.app.engines.engine import engine_of
from gapcast.app.models.loaded_models import Models
from gapcast.app.models.models import admission_of, library_of, load_usable_models
from gapcast.config.files.state_dir import state_path
from gapcast.config.refit_choice import refits
from gapcast.config.settings import Settings
from gapcast.config.shards import readings_folder
from gapcast.core.engine import Engine
from gapcast.core.errors import SettingsError, StateError, StateInUseError
from gapcast.core.monitoring.statistics import Statistics
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.device_rename import rename_device
from gapcast.core.snapshots.snapshot import capture_snapshot
from gapcast.private_files import chown_to_owner_of, disk_error_fix, make_private_folder
from gapcast.refit.minute_archive import SUFFIXES
from gapcast.refit.nights import REFIT_FOLDER, NightlyRefits
from gapcast.service.ports.broker_link import Meters, NoMeters
from gapcast.storage.files.locks import ShardLock, lock_folder
from gapcast.storage.generations import write_checkpoint
from gapcast.storage.recovery import Recovered, recover

_STOP = "`sudo systemctl stop gapcast`, `docker compose stop edge`, or Ctrl-C where it runs"


@dataclass(slots=True)
class StoppedGateway:
    """A gateway whose state this process holds: its ``engine``, restored, and the ``folder`` with its readings.

    ``state`` is the whole state folder.
    """

    engine: Engine
    folder: Path
    state: Path
    settings: Settings
    _meters: Meters
    _recovered: Recovered
    _nights: NightlyRefits | None
    _forgotten: list[str] = field(default_factory=list)
    _recorded: list[Reading] = field(default_factory=list)
    _new_names: dict[str, str] = field(default_factory=dict)

    @property
    def damage(self) -> str:
        """What was damaged in the state, and what was used instead; empty if nothing was damaged."""
        return self._recovered.damage

    @property
    def changed_horizons(self) -> Mapping[str, tuple[int, int]]:
        """The horizon in the state, and the configured one, of devices for which they differ.

        Their learned state is discarded: :meth:`write` writes the state without it.
        """
        return self._recovered.changed_horizons

    def forget(self, device: str) -> None:
        """Discard the state of ``device``; :meth:`write` then removes the files that contain it."""
        self.engine.forget(device)
        self._meters.forget(device)
        self._forgotten.append(device)

    def rename(self, device: str, new: str) -> None:
        """Give the state of ``device`` the name ``new``, which no device has; :meth:`write` stores it.

        The open minute of its meter is discarded: its topic may change too.
        """
        self._meters.forget(device)
        self._new_names[device] = new

    def record(self, readings: Sequence[Reading]) -> None:
        """Record ``readings`` that entered a window for the nightly refit, if any; :meth:`write` stores them."""
        if self._nights is not None:
            self._recorded += readings

    def write(self) -> None:
        """Write the state as a new checkpoint, atomically, and then the archive of the refit.

        Raises :class:`StateError` if writing fails.
        """
        generation = self._recovered.generation + 1
        clean_from = generation if self._forgotten or self._recovered.forgotten else 0
        snapshot = capture_snapshot(self.engine, self._meters.capture_state())
        for device, new in self._new_names.items():
            snapshot = rename_device(snapshot, device, new)
        try:
            write_checkpoint(self.folder, generation, snapshot, clean_from)
        except OSError as error:
            msg = f"{self.folder} cannot be written ({error}): {disk_error_fix(error)}. The state is as it was"
            raise StateError(msg) from error
        try:
            self._recovered.damaged_journals.quarantine_journals()
            self._write_archive()
            chown_to_owner_of(self.state, self.state)
        except OSError as error:
            msg = f"the new state is written, but {self.state} is not complete ({error}): {disk_error_fix(error)}"
            raise StateError(msg) from error

    def _write_archive(self) -> None:
        archive = self.folder / REFIT_FOLDER
        for device, new in self._new_names.items():
            for path in (archive / f"{device}{suffix}" for suffix in SUFFIXES):
                if path.exists():
                    path.replace(archive / f"{new}{path.suffix}")
        if self._nights is not None:
            for device in self._forgotten:
                self._nights.forget(device)
            self._nights.record(self._recorded)
            if (error := self._nights.archive.flush()) is not None:
                raise error


@contextmanager
def open_stopped(settings: Settings, environment: Mapping[str, str]) -> Iterator[StoppedGateway]:
    """Restore the engine of a stopped gateway, as its service would; no service can start until the end.

    Raises :class:`StateInUseError` if the service runs, :class:`StateError` if its state cannot be used,
    :class:`ShardError` for a shard that another worker has, :class:`SettingsError` if nothing is persisted, and
    :class:`ModelError` for a bad model.
    """
    if not settings.state.keep:
        msg = "state.keep = false: no state is persisted: set state.keep = true"
        raise SettingsError(msg)
    state = state_path(settings.state.path, environment)
    folder = readings_folder(settings, state)
    lock = _lock(folder, state)
    try:
        models = load_usable_models(settings, library_of(settings, environment), admission_of(settings, environment))
        try:
            with _shard_lock(settings, folder, models):
                yield _restored(limit_devices_here(settings, models), folder, state, models)
        finally:
            for model in models.by_name.values():
                model.release_interpreters()
    finally:
        os.close(lock)


def _lock(folder: Path, state: Path) -> int:
    try:
        is_new = not folder.exists()
        make_private_folder(folder)
        if is_new:  # the service must be able to use the folder even if this import fails
            chown_to_owner_of(state, state)
        return lock_folder(folder)
    except BlockingIOError as error:
        msg = f"the service is running: it holds {folder}. Stop it ({_STOP}), run this command, and start it again"
        raise StateInUseError(msg) from error
    except OSError as error:
        msg = f"{folder} cannot be used ({error}): {disk_error_fix(error)}, or run this as the account of the service"
        raise StateError(msg) from error


@contextmanager
def _shard_lock(settings: Settings, folder: Path, models: Models) -> Iterator[None]:
    if settings.shards is None:
        yield
        return
    lock = ShardLock(folder.parent, accepts_other_models=settings.state.accept_other_models)
    try:
        lock.acquire(models.stamps)
        yield
    finally:
        lock.release()


def _restored(settings: Settings, folder: Path, state: Path, models: Models) -> StoppedGateway:
    is_refitted = refits(settings)
    engine = engine_of(settings, models, refits=is_refitted)
    nights: NightlyRefits | None = None
    if is_refitted:
        nights = NightlyRefits(folder / REFIT_FOLDER, settings.learning.refit_max_devices)
        nights.restore(engine)
    source_reader = source_reader_of(settings, models, Statistics())
    meters: Meters = NoMeters() if source_reader is None else source_reader.meters
    try:
        recovered = recover(folder, engine, meters)
    except StateError as error:
        msg = f"{error}: run the newer gapcast, or set another state.path; the file is not changed"
        raise StateError(msg) from error
    except OSError as error:
        msg = f"{folder} cannot be read ({error}): run this as root, or as the account of the service"
        raise StateError(msg) from error
    return StoppedGateway(engine, folder, state, settings, meters, recovered, nights)
