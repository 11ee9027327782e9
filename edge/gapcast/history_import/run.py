"""Feeds past readings to the engine of a stopped gateway: it accepts, forecasts and learns as in the service."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gapcast.backtest.inputs.engine_settings import require_power_alone
from gapcast.backtest.run import BATCH_READINGS
from gapcast.config.settings import Settings
from gapcast.core.documents.message_format import counted, listed
from gapcast.core.errors import SettingsError, SourceError
from gapcast.core.learning.scores.summary import ALL_TIME, Summary
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.core.readings.submeters import name_of
from gapcast.core.time_grid import minute_label
from gapcast.history_import.past_readings import PastFiles, PastReadings, read_past
from gapcast.history_import.stopped_gateway import StoppedGateway, open_stopped
from gapcast.refit.minutes import MAX_MINUTES

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Target:
    """The device of the readings, and whether its state is discarded first."""

    device: str
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import: the minutes used, the scores of the device, and where the state was written."""

    device: str
    n_readings: int
    first_minute: int
    last_minute: int
    published_model: str
    scores: Summary
    folder: Path


def import_past(
    settings: Settings,
    environment: Mapping[str, str],
    files: PastFiles,
    target: Target,
    show: Callable[[str], object],
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> ImportResult:
    """Let the gateway with ``settings``, which is stopped, learn from ``files`` as if they had been live readings.

    The state is replaced at the end, in one step. ``show`` is called with a description of each file. Raises
    :class:`SourceError` for a bad file, :class:`SettingsError` for a device that cannot take the readings, and the
    errors of :func:`open_stopped`; the state is then unchanged.
    """
    if not is_device_id(target.device):
        msg = f"--device: {device_id_problem(target.device)}"
        raise SettingsError(msg)
    limits = settings.reading_limits
    past = read_past(files, limits, now_ms(), show, progress=sys.stderr.isatty())
    with open_stopped(settings, environment) as gateway:
        if gateway.damage:
            show(f"the state was damaged: {gateway.damage}")
        _prepare(gateway, target, files, past, show)
        _run(gateway, target.device, past, now_ms())
        engine = gateway.engine
        engine.buffers.end_import(target.device)  # the broker may have queued the file's minutes
        gateway.write()
        return ImportResult(
            target.device,
            len(past),
            past.first_minute,
            past.last_minute,
            engine.forecaster_of(target.device).published_model.name,
            engine.scores_of(target.device)[ALL_TIME],
            gateway.folder,
        )


def _prepare(
    gateway: StoppedGateway, target: Target, files: PastFiles, past: PastReadings, show: Callable[[str], object]
) -> None:
    """Check that the device can take the readings, and forget it if it is replaced."""
    buffers, device = gateway.engine.buffers, target.device
    require_power_alone(gateway.engine, "an import")
    check_horizons(gateway, target.device if target.replaces else None)
    _check_submeters(buffers.submeters.get(device, ()), device, past)
    if device in buffers and target.replaces:
        gateway.forget(device)
        show(f"{device}: deleted, to learn from the file alone")
    elif device in buffers:
        newest = buffers.newest(device)[0]
        if past.first_minute <= newest:
            fix = "--replace deletes them and learns from the file alone"
            if past.last_minute > newest:
                fix += f"; --start {minute_label(newest + 1)} imports only what is newer"
            problem = f"the gateway already has readings of {device} until {minute_label(newest)}"
            raise SourceError(files.paths[0], f"begins at {minute_label(past.first_minute)}, but {problem}: {fix}")
    elif len(buffers):
        show(f"{device} is a new device; existing devices: {listed(list(buffers), _MAX_NAMED)}")


def check_horizons(gateway: StoppedGateway, replaced: str | None = None) -> None:
    """Raise :class:`SettingsError` if a device other than ``replaced`` would lose what it learned at another horizon.

    :meth:`.StoppedGateway.write` would discard it.
    """
    for device, (old_min, own_min) in gateway.changed_horizons.items():
        if device == replaced:
            continue
        problem = (
            f"{device} has learned at a horizon of {old_min} min, and the configured horizon of {own_min} min would "
            "discard this learning state"
        )
        key = json.dumps(device) if "." in device else device
        fix = f"set horizon_min = {old_min} in [forecast.devices.{key}]"
        msg = f"forecast.devices: {problem}: {fix}, or start the service once with {own_min} min before"
        raise SettingsError(msg)


def _check_submeters(configured: Sequence[str], device: str, past: PastReadings) -> None:
    """Raise :class:`SettingsError` if ``past`` has a submeter that is not ``configured``: it would teach nothing."""
    unknown = [name for name in map(name_of, past.submeters_kw) if name not in configured]
    if unknown:
        read = f"{device} has {', '.join(configured)}" if configured else f"{device} has no submeters"
        fix = f'name the column like a submeter, or add [[submeters]] with of = "{device}", name = "{unknown[0]}"'
        msg = f"submeters: {unknown[0]} is not a configured submeter ({read}): {fix}"
        raise SettingsError(msg)


def _run(gateway: StoppedGateway, device: str, past: PastReadings, issued_at_ms: int) -> None:
    engine = gateway.engine
    # disable=None: show the bar on a terminal only
    with tqdm(total=len(past), unit=" readings", desc=device, disable=None) as progress:
        for readings in past.batches(device, BATCH_READINGS):
            accepted = engine.accept(readings)
            accepted.raise_failure()
            if readings[-1].minute > past.last_minute - MAX_MINUTES:  # a refit needs no older readings
                gateway.record(accepted.window_readings(readings))
            _check_tracked(gateway, device)
            engine.demand(accepted, engine.outlook(accepted, engine.forecast(accepted, issued_at_ms)))
            engine.learn()
            progress.update(len(readings))


def _check_tracked(gateway: StoppedGateway, device: str) -> None:
    """Raise :class:`SettingsError` if the gateway did not accept the device, or does not learn from it."""
    buffers, n_tracked = gateway.engine.buffers, gateway.settings.learning.max_devices
    if device not in buffers:
        msg = f"devices.max: the gateway already has {counted(len(buffers), 'device')}, the maximum: raise it"
        raise SettingsError(msg)
    if buffers.row(device) >= n_tracked:
        problem = f"the gateway learns from its first {n_tracked:,} devices only, not from {device}"
        msg = f"learning.max_devices: {problem}: raise it"
        raise SettingsError(msg)
