"""Restores a snapshot into a new engine.

The restored state is identical, bit for bit, so that a restart does not change forecasts. Readings after the snapshot
are replayed, one by one, by the rules of the stream (:mod:`.journal_replay`). State that is implausible, or of another
configuration, is discarded.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.engine import Engine
from gapcast.core.errors import StateError
from gapcast.core.learning.ensemble.learning_state import OF_ALL_DEVICES, horizon_of
from gapcast.core.readings.state_limits import is_plausible_reading, is_plausible_run
from gapcast.core.readings.submeters import channels_of
from gapcast.core.snapshots.discarded_learning import NEEDED_COLUMNS
from gapcast.core.snapshots.horizon_state import (
    expanded,
    forecaster_signature,
    horizons_of_devices,
    restore_newest,
    stored_horizons,
)
from gapcast.core.snapshots.learning_restoration import restore_learning, restore_outlooks
from gapcast.core.snapshots.snapshot import Snapshot
from gapcast.core.snapshots.snapshot_checks import Mask, implausible_devices
from gapcast.core.streams.buffer import Buffers


class RestoreProblems(NamedTuple):
    """The parts of a snapshot that were not restored.

    ``learning`` says why learned values were discarded (empty: all were restored); ``devices`` start again, because
    their windows or newest forecasts hold implausible values.
    """

    learning: str
    devices: list[str]


def restore_snapshot(engine: Engine, snapshot: Snapshot, *, releases: bool = False) -> RestoreProblems:
    """Restore ``snapshot`` into ``engine``, which must be new; return the parts that were not restored.

    ``releases``: remove the columns of learned values, most of a snapshot, from it as soon as they are restored, except
    those of :mod:`.discarded_learning`.

    If the model has another context or padding, each window is cut, or padded again from its oldest reading; for
    another model the newest forecasts are discarded. Values out of range (:mod:`.snapshot_checks`) are discarded for
    their device only, learned columns that do not fit each other for all devices. Raises :class:`StateError`, before
    anything is restored, if the model takes a measured feature that the snapshot does not have.
    """
    buffers = engine.buffers
    values = _values_for(engine, snapshot)
    dropped = implausible_devices(snapshot)
    _restore_windows(buffers, snapshot, values, dropped)
    _restore_waiting(buffers, snapshot)
    _restore_week(buffers, snapshot)
    _restore_newest(engine, snapshot)
    engine.plans.restore(snapshot.plans)
    main, n_devices = engine.horizons.main, len(buffers)
    of_main = restore_learning(
        main, n_devices, snapshot.learning_state, snapshot.scores, snapshot.drift, releases=releases
    )
    if releases:
        for name in snapshot.learning_state.keys() - OF_ALL_DEVICES - NEEDED_COLUMNS:
            del snapshot.learning_state[name]
    problems = (
        of_main,
        restore_outlooks(main, n_devices, snapshot.outlook, releases=releases),
        _restore_horizons(engine, snapshot),
        _restore_demands(engine, snapshot),
    )
    _forget_other_horizons(engine, snapshot)
    _forget_other_submeters(engine, snapshot)
    names = [device for i, device in enumerate(snapshot.devices) if dropped[i] and device in buffers]
    for device in names:
        engine.forget(device)
    return RestoreProblems("; ".join(filter(None, problems)), names)


def _values_for(engine: Engine, snapshot: Snapshot) -> F32:
    """Return the stored windows ``[N, context, C]`` with the channels of ``engine``; NaN for missing submeters.

    Raises :class:`StateError` if a channel that the engine's models require is missing.
    """
    buffers = engine.buffers
    required = buffers.channels[: buffers.n_required]
    missing = [name for name in required if name not in snapshot.channels]
    if missing:
        msg = f"the stored readings have no {', '.join(missing)}, which model {engine.model.name} needs"
        raise StateError(msg)
    values = np.full((len(snapshot.values), snapshot.spec.context, len(buffers.channels)), np.nan, dtype=np.float32)
    values[:, :, : len(required)] = snapshot.values[:, :, [snapshot.channels.index(name) for name in required]]
    _restore_submeters(buffers, snapshot, values)
    return values


def _restore_windows(buffers: Buffers, snapshot: Snapshot, values: F32, dropped: Mask) -> None:
    """Add the devices, and their windows ``values`` except the windows of the devices ``dropped`` ``[N]``."""
    values = values.reshape(len(values), snapshot.spec.context, *buffers.shape[1:])
    stored_bits = (1 << snapshot.spec.context) - 1
    for i, device in enumerate(snapshot.devices):
        stream = buffers.add_device(device)
        if stream is None:
            break
        if dropped[i]:
            continue
        stream.last_minute, stream.n_seen = int(snapshot.last_minute[i]), int(snapshot.n_seen[i])
        observed = int.from_bytes(snapshot.observed[i].tobytes(), "little") & stored_bits
        if snapshot.filled is not None:
            stream.filled = observed & int.from_bytes(snapshot.filled[i].tobytes(), "little")
        buffers.fill_window(stream, values[i], observed, same_spec=buffers.spec == snapshot.spec)


def _restore_newest(engine: Engine, snapshot: Snapshot) -> None:
    """Restore the newest forecasts of the main horizon if they are from the same model."""
    buffers, horizons = engine.buffers, engine.horizons
    if snapshot.model != forecaster_signature(horizons.main):
        return
    n, newest = len(buffers), horizons.main.newest
    kw, when = snapshot.latest_kw[:n], snapshot.latest_when[:n]
    newest.restore_columns(kw, when, snapshot.latest_n_observed[:n], snapshot.latest_shares[:n])
    planned = _planned_of(snapshot, n)
    newest.planned = {row: both for row, both in planned.items() if buffers.device(row) not in horizons.own_min}


def _restore_submeters(buffers: Buffers, snapshot: Snapshot, values: F32) -> None:
    """Write submeters of both configurations, by name, to their channels of ``values`` ``[N, context, C]``."""
    stored_at = {name: i for i, name in enumerate(snapshot.channels)}
    for i, device in enumerate(snapshot.devices):
        stored = dict(zip(snapshot.submeters.get(device, ()), channels_of(snapshot.submeters), strict=False))
        for at, name in enumerate(buffers.submeters.get(device, ()), start=buffers.n_required):
            if name in stored and stored[name] in stored_at:
                values[i, :, at] = snapshot.values[i, :, stored_at[stored[name]]]


def _forget_other_submeters(engine: Engine, snapshot: Snapshot) -> None:
    """Forget state learned from submeters that differed, or had another order, when ``snapshot`` was captured."""
    now, before = engine.buffers.submeters, snapshot.submeters
    for device in snapshot.devices:
        if device in engine.buffers and now.get(device, ()) != tuple(before.get(device, ())):
            ensemble = engine.forecaster_of(device).ensemble
            if ensemble is not None and ensemble.submetered is not None:
                ensemble.submetered.forget(engine.buffers.row(device))


def _restore_waiting(buffers: Buffers, snapshot: Snapshot) -> None:
    """Restore held and late readings that have every channel of the model, and the ends of imports."""
    channels = buffers.channels[: buffers.n_required]
    for reading in snapshot.held:
        is_usable = is_plausible_reading(reading) and not reading.missing_features(channels)
        if is_usable and reading.device in buffers:
            buffers.stream(reading.device).held = reading
    for run in snapshot.late_runs:
        is_usable = is_plausible_run(run) and not any(reading.missing_features(channels) for reading in run)
        if is_usable and run[0].device in buffers:
            buffers.stream(run[0].device).late_run = list(run)
    for device in snapshot.imported:
        if device in buffers:
            buffers.end_import(device)


def _restore_week(buffers: Buffers, snapshot: Snapshot) -> None:
    """Restore the quarter-hours; devices without sound stored ones begin with their windows."""
    if buffers.week is None:
        return
    if snapshot.week:
        with suppress(StateError):  # damaged columns: all devices begin with their windows
            buffers.week.restore_columns(snapshot.week, snapshot.last_minute[: len(buffers)])
    buffers.add_windows_to_week()


def _planned_of(snapshot: Snapshot, n_devices: int) -> dict[int, tuple[float, float]]:
    """Return the mean without planned power, and the planned power, in the newest forecasts below ``n_devices``."""
    return {
        row: (uncontrolled_kw, planned_kw)
        for row, uncontrolled_kw, planned_kw in snapshot.latest_planned
        if 0 <= row < n_devices and np.isfinite(uncontrolled_kw) and np.isfinite(planned_kw)
    }


def _restore_horizons(engine: Engine, snapshot: Snapshot) -> str:
    """Restore the state of devices with a horizon of their own; return a description of the discarded state."""
    n_devices = len(engine.buffers)
    problems: list[str] = []
    try:
        for stored in stored_horizons(snapshot.horizons, len(snapshot.devices)):
            forecaster = engine.horizons.others.get(stored.horizon_min)
            if forecaster is None:
                continue
            restore_newest(forecaster, stored, n_devices, _planned_of(snapshot, n_devices))
            rows, columns = range(min(n_devices, forecaster.n_tracked)), stored.columns
            scores = expanded(forecaster.scores.columns(rows), columns.scores, stored.places)
            # Without the columns that an earlier version did not store: restore_columns estimates them.
            scores = {name: column for name, column in scores.items() if name in columns.scores}
            drift = expanded(forecaster.drift.columns(rows), columns.drift, stored.places)
            problems += (
                restore_learning(forecaster, n_devices, dict(columns.learning_state), scores, drift),
                restore_outlooks(forecaster, n_devices, columns.outlook),
            )
    except (StateError, ValueError, IndexError, TypeError) as error:
        problems.append(str(error))
    return "; ".join(filter(None, problems))


def changed_horizons(engine: Engine, snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """Return the devices whose horizon has changed since ``snapshot`` was captured: the old and the new horizon.

    Only with horizons of single devices: if the main horizon alone changes, all of its learned values are discarded.
    """
    if not engine.horizons.others and not snapshot.horizons:
        return {}
    before = horizons_of_devices(snapshot.horizons, len(snapshot.devices))
    if before is None:  # all devices had the main horizon
        main_min = engine.horizons.main.horizon_min
        with suppress(StateError):
            main_min = horizon_of(snapshot.learning_state) if snapshot.learning_state else main_min
        before = [main_min] * len(snapshot.devices)
    now = [engine.forecaster_of(device).horizon_min for device in snapshot.devices]
    both = zip(snapshot.devices, before, now, strict=True)
    return {device: (old, new) for device, old, new in both if device in engine.buffers and old != new}


def _forget_other_horizons(engine: Engine, snapshot: Snapshot) -> None:
    """Forget the learned state of devices whose horizon has changed; their readings stay."""
    for device in changed_horizons(engine, snapshot):
        engine.horizons.forget(engine.buffers.row(device))
        if device in engine.plans.trackers:
            engine.plans.trackers[device].issued.clear()


def _restore_demands(engine: Engine, snapshot: Snapshot) -> str:
    """Restore windows, peaks and limits; return a description of the discarded state, empty without any."""
    if engine.demands.forecaster is None:
        return ""
    problem = ""
    if snapshot.demand:
        try:
            problem = engine.demands.forecaster.restore_columns(engine.buffers, snapshot.demand)
        except (StateError, ValueError, IndexError, TypeError) as error:
            problem = str(error)
    engine.buffers.begin_billing(engine.demands.forecaster.windows)
    return problem
