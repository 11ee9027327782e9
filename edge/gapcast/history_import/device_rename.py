"""Renames a device in the state of a stopped gateway: it continues with its window and what it has learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gapcast.config.settings import Settings
from gapcast.core.documents.message_format import listed
from gapcast.core.errors import SettingsError
from gapcast.core.readings.reading import device_id_problem, is_device_id
from gapcast.history_import.run import check_horizons
from gapcast.history_import.stopped_gateway import StoppedGateway, open_stopped

_MAX_NAMED = 5


def rename_device(settings: Settings, environment: Mapping[str, str], device: str, new: str) -> Path:
    """Give the state of ``device`` the name ``new``, and return the folder of the readings.

    Raises :class:`SettingsError` for a name that cannot be used, and the errors of :func:`open_stopped`.
    """
    if not is_device_id(new):
        msg = f"NEW: {device_id_problem(new)}"
        raise SettingsError(msg)
    if keys := keys_of(settings, new):
        fix = f"rename with the keys of {device}, and change them afterwards"
        msg = f"{', '.join(keys)}: the state of {device} does not belong to the configuration of {new}: {fix}"
        raise SettingsError(msg)
    with open_stopped(settings, environment) as gateway:
        _check_names(gateway, device, new)
        check_horizons(gateway)
        gateway.rename(device, new)
        gateway.write()
        return gateway.folder


def keys_of(settings: Settings, device: str) -> list[str]:
    """Return the keys of the configuration that are for ``device`` alone."""
    keys = [f"forecast.devices.{device}"] if device in settings.forecast.devices else []
    keys += [f"demand.devices.{i}.device" for i, one in enumerate(settings.demand.devices) if one.device == device]
    return keys + [f"submeters.{i}.of" for i, one in enumerate(settings.submeters) if one.of == device]


def _check_names(gateway: StoppedGateway, device: str, new: str) -> None:
    """Raise :class:`SettingsError` unless the gateway has readings of ``device``, and nothing of ``new``."""
    buffers = gateway.engine.buffers
    if device not in buffers:
        known = listed(list(buffers), _MAX_NAMED) or "none"
        msg = f"OLD: {gateway.folder} has no readings of {device}; existing devices: {known}"
        raise SettingsError(msg)
    if new in buffers or gateway.engine.is_changed(new):
        fix = f"start the service, delete {new} (DELETE /devices/{new}), and stop the service again"
        msg = f"NEW: the gateway has state of {new} already: {fix}"
        raise SettingsError(msg)
