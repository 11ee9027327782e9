"""The options of the outlook."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutlookOptions:
    """For which devices to make an outlook, and what it learns.

    Devices in the first ``max_devices`` rows have one. ``learns``: correct the model by the device's own outcomes;
    ``calibrates``: calibrate the bounds by the device's own hits and misses.
    """

    max_devices: int = 100
    learns: bool = True
    calibrates: bool = True
