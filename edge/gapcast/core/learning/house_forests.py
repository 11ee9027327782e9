"""The forests of the night's refit in use, by device: each predicts the windows of its own house."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np

from gapcast.core.errors import StateError
from gapcast.core.features import offset_min
from gapcast.core.grid import DAY_MIN
from gapcast.core.learning.forest import OUTPUTS, Forest
from gapcast.core.learning.forest_features import ForestFeatures
from gapcast.core.learning.outcomes import F64
from gapcast.core.window import F32, I64


class HouseForests:
    """Predicts the change over the horizon for the devices that have a forest. Pure; one caller."""

    def __init__(self, context: int, horizon_min: int, zone: tzinfo) -> None:
        """Predict from windows of ``context`` minutes, ``horizon_min`` ahead, with the time of day in ``zone``."""
        self.features = ForestFeatures(context)
        self.horizon_min = horizon_min
        self._zone = zone
        self._by_device: dict[str, Forest] = {}

    def __len__(self) -> int:
        """Return the number of devices with a forest."""
        return len(self._by_device)

    def __contains__(self, device: str) -> bool:
        """Return whether ``device`` has a forest."""
        return device in self._by_device

    def get(self, device: str) -> Forest | None:
        """Return the forest of ``device``, None if it has none."""
        return self._by_device.get(device)

    def use(self, device: str, forest: Forest) -> None:
        """Predict ``device`` with ``forest``; raise :class:`StateError` if it takes other features than these."""
        if forest.features != self.features.names or len(forest.first_trees) != len(OUTPUTS):
            msg = f"the forest of {device} was fitted with other features than this version's, or to a shorter window"
            raise StateError(msg)
        self._by_device[device] = forest

    def forget(self, device: str) -> None:
        """Remove the forest of ``device``, if it has one."""
        self._by_device.pop(device, None)

    def take_over(self, other: HouseForests) -> None:
        """Use the forests of ``other`` that fit: those of the same features and horizon."""
        if (other.features.names, other.horizon_min) == (self.features.names, self.horizon_min):
            self._by_device = other._by_device

    def predict(self, devices: Sequence[str], minutes: I64, windows: F32) -> F64 | None:
        """Return mean, median, lower and upper bound ``[N, 4]``, kW, NaN for devices without a forest.

        ``windows`` is ``[N, context]``, kW, of ``devices``, and ends at ``minutes`` ``[N]``. None if no device of them
        has a forest.
        """
        which: dict[str, list[int]] = {}
        if self._by_device:
            for i, device in enumerate(devices):
                if device in self._by_device:
                    which.setdefault(device, []).append(i)
        if not which:
            return None
        predicted_kw = np.full((len(devices), len(OUTPUTS)), np.nan)
        for device, places in which.items():
            target = minutes[places] + self.horizon_min
            local = (target + offset_min(target, self._zone)) % DAY_MIN
            change_kw = self._by_device[device].predict(self.features.columns(windows[places], local))
            predicted_kw[places] = windows[places, -1:].astype(np.float64) + change_kw
        return predicted_kw
