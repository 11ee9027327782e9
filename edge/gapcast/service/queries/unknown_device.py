"""The error about a device without any received reading."""

from __future__ import annotations


def unknown_device(device: str) -> str:
    """Return the error that no reading of ``device`` has arrived.

    >>> unknown_device("hmoe")
    "device 'hmoe' is unknown: no reading of it has arrived; GET /devices lists the known ones"
    """
    return f"device {device!r} is unknown: no reading of it has arrived; GET /devices lists the known ones"
