"""Limits ``devices.max``, ``learning.max_devices`` and ``outlook.max_devices`` to the memory of this process."""

from __future__ import annotations

import structlog

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.loaded_models import Models
from gapcast.config.machine.memory_limit import DeviceCost, MemoryLimit, fitting_devices, read_memory_limit
from gapcast.config.settings import Settings
from gapcast.core.engine import Engine
from gapcast.core.models.predictor import history_steps_of

log = structlog.get_logger(__name__)

FIX = "allow more memory, or lower devices.max, learning.max_devices, outlook.max_devices or history.max_devices"
#: Memory per device besides the arrays, for names and Python objects. Measured: 0.5 to 0.6 kB.
_OBJECTS_BYTES = 800
#: Memory of a tracked device's scores and drift, and the number of copies of its learning state: the original, and the
#: copy that a checkpoint writes after devices were forgotten or if there are thousands of devices.
_SCORES_BYTES, _N_COPIES = 2_900, 2
_LATEST_BYTES = 36


def device_cost(engine: Engine) -> DeviceCost:
    """Return the memory per device in ``engine`` and around it.

    Each further horizon takes as much memory for its learning state as the main horizon: it has a row for every device.
    """
    buffers, ensemble, history, n_horizons = engine.buffers, engine.ensemble, engine.history, len(engine.horizons.all)
    n_leads, n_members = len(engine.model.lead_times_min), 0 if ensemble is None else len(ensemble.members)
    window_bytes = 4 * buffers.row_width * len(buffers.channels)
    week = buffers.week
    week_bytes = 0 if week is None else _N_COPIES * week.n_bytes_per_device + week.n_prepared_bytes_per_device
    outlook_bytes, n_outlook = 0, 0
    if engine.outlooks is not None:
        n_outlook = engine.outlooks.options.max_devices
        outlook_bytes = _N_COPIES * n_horizons * engine.outlooks.n_bytes_per_device
        if engine.demands.forecaster is not None:
            outlook_bytes += _N_COPIES * engine.demands.forecaster.n_bytes_per_device
        members = (engine.model,) if ensemble is None else ensemble.models
        if not any(map(history_steps_of, members)):  # only the outlook's model reads the week
            outlook_bytes, week_bytes = outlook_bytes + week_bytes, 0
    return DeviceCost(
        each_bytes=_OBJECTS_BYTES
        + window_bytes
        + n_horizons * (_LATEST_BYTES + 4 * n_leads + 8 * n_members)
        + (week_bytes if ensemble is None else 0),
        tracked_bytes=0
        if ensemble is None
        else n_horizons * (_N_COPIES * ensemble.n_bytes_per_device + _SCORES_BYTES) + week_bytes,
        n_tracked=engine.horizons.main.n_tracked,
        history_bytes=history.n_bytes_per_device,
        n_history=history.max_devices,
        outlook_bytes=outlook_bytes,
        n_outlook=n_outlook,
    )


def limit_devices(settings: Settings, models: Models, limit: MemoryLimit | None) -> Settings:
    """Return ``settings`` with the numbers of devices, tracked devices and outlooks reduced to fit into ``limit``.

    ``limit`` None: no known limit. A reduction is logged.
    """
    configured = settings.devices.max
    if limit is None:
        return settings
    cost = device_cost(engine_of(settings, models))
    effective, n_tracked, n_outlook = fitting_devices(cost, limit.n_bytes, configured)
    if (effective, n_tracked, n_outlook) == (configured, cost.n_tracked, cost.n_outlook):
        return settings
    log.warning(
        "devices.limited",
        configured=configured,
        effective=effective,
        tracked=n_tracked,
        outlooks=n_outlook,
        limit=str(limit),
        fix=FIX,
    )
    devices = settings.devices.model_copy(update={"max": effective})
    learning = settings.learning.model_copy(update={"max_devices": n_tracked})
    n_most = n_outlook if cost.n_outlook else settings.outlook.max_devices  # outlooks cost nothing without a model
    outlook = settings.outlook.model_copy(update={"max_devices": n_most})
    return settings.model_copy(update={"devices": devices, "learning": learning, "outlook": outlook})


def limit_devices_here(settings: Settings, models: Models) -> Settings:
    """Return ``settings`` with a ``devices.max`` that fits into the memory that this process may use."""
    return limit_devices(settings, models, read_memory_limit())
