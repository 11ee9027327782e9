"""Gives the state of a device in a snapshot another name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand.state.stored_state import LIMIT_DEVICE
from gapcast.core.readings.reading import Reading
from gapcast.core.snapshots.snapshot import Snapshot


def rename_device(snapshot: Snapshot, device: str, new: str) -> Snapshot:
    """Return ``snapshot`` with the state of ``device`` under the name ``new``, which no device of it has.

    Meters are unchanged: they are stored by topic.
    """

    def renamed(name: str) -> str:
        return new if name == device else name

    def renamed_reading(reading: Reading) -> Reading:
        return reading._replace(device=renamed(reading.device))

    return replace(
        snapshot,
        devices=[*map(renamed, snapshot.devices)],
        held=[*map(renamed_reading, snapshot.held)],
        late_runs=[[*map(renamed_reading, run)] for run in snapshot.late_runs],
        submeters={renamed(name): channels for name, channels in snapshot.submeters.items()},
        plans=[plan._replace(device=renamed(plan.device)) for plan in snapshot.plans],
        demand=_with_limits_of(snapshot.demand, {device: new}),
        imported=[*map(renamed, snapshot.imported)],
    )


def _with_limits_of(demand: Mapping[str, NDArray[Any]], new_names: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Return the columns ``demand`` with other names of the devices with a limit that was set at run time."""
    if LIMIT_DEVICE not in demand:
        return dict(demand)
    names = [new_names.get(name, name) for name in demand[LIMIT_DEVICE].tolist()]
    return {**demand, LIMIT_DEVICE: np.array(names, dtype=np.str_)}
