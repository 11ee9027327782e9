"""The forests of the nightly refit in use, by device: each forest predicts the windows of its own house."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import tzinfo
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.device_rows import DAMAGED
from gapcast.core.errors import StateError
from gapcast.core.learning.forests.compiled_forest import Evaluation, evaluation_of
from gapcast.core.learning.forests.forest import OUTPUTS, Forest
from gapcast.core.learning.forests.forest_features import ForestFeatures
from gapcast.core.readings.submeters import Submeters
from gapcast.core.windows.features import minute_of_day

#: Number of outputs of a forest that are members of the ensemble, the first ones: mean and median.
N_PREDICTED = 2


class HouseForest(NamedTuple):
    """The forest of a device, and the evaluation of its mean and median."""

    forest: Forest
    evaluate: Evaluation


class HouseForests:
    """Predicts the change over the horizon for the devices that have a forest. Pure; for one caller."""

    def __init__(self, context: int, horizon_min: int, zone: tzinfo, submeters: Submeters | None = None) -> None:
        """Predict from windows of ``context`` minutes, ``horizon_min`` ahead, with the time of day in ``zone``.

        ``submeters`` are the submeters of the devices.
        """
        #: The features of devices without submeters.
        self.features = ForestFeatures(context, horizon_min)
        self._submetered = {
            device: ForestFeatures(context, horizon_min, names) for device, names in (submeters or {}).items() if names
        }
        self.horizon_min = horizon_min
        self._zone = zone
        self._by_device: dict[str, HouseForest] = {}

    def __len__(self) -> int:
        """Return the number of devices with a forest."""
        return len(self._by_device)

    def __contains__(self, device: str) -> bool:
        """Return whether ``device`` has a forest."""
        return device in self._by_device

    def features_of(self, device: str) -> ForestFeatures:
        """Return the feature definition for the windows of ``device``."""
        return self._submetered.get(device, self.features)

    def use(self, device: str, forest: Forest) -> None:
        """Predict ``device`` with ``forest``; raise :class:`StateError` if it takes other features than the device has.

        A forest fitted with submeters needs the submeters of the device; a forest fitted without submeters needs none.
        """
        has_outputs = len(forest.first_trees) == len(OUTPUTS)
        adapted = self.features_of(device).adapted(forest) if has_outputs else None
        if adapted is None:
            msg = (
                f"the forest of {device} was fitted with other features than this version's, with other submeters, or "
                "to a shorter window"
            )
            raise StateError(msg)
        self._by_device[device] = HouseForest(adapted, evaluation_of(adapted, N_PREDICTED))

    def forget(self, device: str) -> None:
        """Remove the forest of ``device``, if it has one."""
        self._by_device.pop(device, None)

    def adopt(self, other: HouseForests) -> None:
        """Use the forests of ``other`` that fit: with the same features and horizon."""
        if other.horizon_min != self.horizon_min:
            return
        self._by_device = {}
        for device, its in other._by_device.items():
            with suppress(StateError):
                self.use(device, its.forest)

    @np.errstate(**DAMAGED)
    def predict(
        self, devices: Sequence[str], minutes: I64, windows: F32, submeters_kw: F32 | None = None
    ) -> F64 | None:
        """Return mean and median ``[N, 2]``, kW, NaN for devices without a forest.

        ``windows`` ``[N, context]``, kW, belong to ``devices`` and end at ``minutes`` ``[N]``. ``submeters_kw``
        ``[N, context, K]`` are the channels of each device's submeters and then others, NaN where missing (None: no
        submeters). None if no device of the batch has a forest.
        """
        which = self._places_by_features(devices)
        if not which:
            return None
        predicted_kw = np.full((len(devices), N_PREDICTED), np.nan)
        for features, by_device in which.items():
            places = [place for its in by_device.values() for place in its]
            local = minute_of_day(minutes[places] + self.horizon_min, self._zone)
            of_devices = None if submeters_kw is None else submeters_kw[places, :, : len(features.submeters)]
            columns = features.columns(windows[places], local, of_devices)
            end = 0
            for device, its in by_device.items():
                begin, end = end, end + len(its)
                change_kw = self._by_device[device].evaluate(columns[begin:end])
                predicted_kw[its] = windows[its, -1:].astype(np.float64) + change_kw
        return predicted_kw

    def _places_by_features(self, devices: Sequence[str]) -> dict[ForestFeatures, dict[str, list[int]]]:
        """Return the indices of the devices with a forest, by device, for each feature definition in use."""
        which: dict[ForestFeatures, dict[str, list[int]]] = {}
        if self._by_device:
            for i, device in enumerate(devices):
                if device in self._by_device:
                    which.setdefault(self.features_of(device), {}).setdefault(device, []).append(i)
        return which
