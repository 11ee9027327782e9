"""Errors for readings that are decoded but rejected: with the same words on a gateway and in a fleet."""

from __future__ import annotations

from gapcast.core.errors import PayloadError


def too_many_devices(n_devices: int, where: str = "") -> PayloadError:
    """Return the error for a reading of a new device while ``n_devices`` devices are known ``where``.

    >>> too_many_devices(100, " in this bucket").detail
    '100 devices are known in this bucket, the maximum: raise devices.max, within the memory limit'
    """
    return PayloadError(
        "too_many_devices",
        f"{n_devices} devices are known{where}, the maximum: raise devices.max, within the memory limit",
    )


def time_jump() -> PayloadError:
    """Return the error for a reading that was accepted and later disproved by other readings."""
    detail = "its time was more than a day ahead of the readings before and after it: check the meter's clock"
    return PayloadError("time_jump", detail)
