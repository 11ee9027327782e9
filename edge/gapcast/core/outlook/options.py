"""The configuration of the outlook: its model, the devices that have one, and its learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gapcast.core.models.predictor import Predictor


@dataclass(frozen=True, slots=True)
class OutlookOptions:
    """The devices that have outlooks, and how these learn.

    Devices in the first ``max_devices`` rows have outlooks. ``learns``: correct the model with the device's own
    outcomes; ``calibrates``: calibrate the bounds with the device's own hits and misses.
    """

    max_devices: int = 100
    learns: bool = True
    calibrates: bool = True


class OutlookConfig(NamedTuple):
    """The model that makes the outlooks, and their options."""

    model: Predictor
    options: OutlookOptions = OutlookOptions()
