"""The errors about a device without any received reading, or without a forecast."""

from __future__ import annotations

from gapcast.core.windows.window import MAX_FILL_MIN


def unknown_device(device: str) -> str:
    """Return the error that no reading of ``device`` has arrived.

    >>> unknown_device("hmoe")
    "device 'hmoe' is unknown: no reading of it has arrived; GET /devices lists the known ones"
    """
    return f"device {device!r} is unknown: no reading of it has arrived; GET /devices lists the known ones"


def no_forecast(device: str) -> str:
    """Return the error that ``device``, which is known, has no forecast.

    >>> no_forecast("home")
    "device 'home' has no forecast yet: one follows its next reading, if that is at most 6 minutes after the last one"
    """
    wait = f"one follows its next reading, if that is at most {MAX_FILL_MIN + 1} minutes after the last one"
    return f"device {device!r} has no forecast yet: {wait}"
