"""The configuration of the outlook: its model, the devices that have one, and what it learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gapcast.core.models.predictor import Predictor


@dataclass(frozen=True, slots=True)
class OutlookOptions:
    """For which devices to make an outlook, and what it learns.

    Devices in the first ``max_devices`` rows have one. ``learns``: correct the model by the device's own outcomes;
    ``calibrates``: calibrate the bounds by the device's own hits and misses.
    """

    max_devices: int = 100
    learns: bool = True
    calibrates: bool = True


class OutlookConfig(NamedTuple):
    """The model that makes the outlooks, and their options."""

    model: Predictor
    options: OutlookOptions = OutlookOptions()
