"""The lowest power of a device's forecasts: a house rarely draws less than its lowest power of the last weeks.

What is always on (standby, ventilation, a router) sets a minimum. Without a floor, 7 to 64 % of the lower bounds of
real houses, depending on house and lead time, were below everything that the house had drawn until then. The
floor is the lowest measured power of the newest block of readings and of the block before, four to eight weeks
together, from the second day on. A lower reading lowers it at once; a meter's single zero is forgotten with its block.
A house that feeds in has no minimum: its floor is the configured one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.forecasts.forecast_range import FEEDS_IN_KW
from gapcast.core.readings.state_limits import MOST
from gapcast.core.time_grid import DAY_MIN

#: The name of the array in a device's state, and its indices.
STATE = "lowest_powers"
_NEWEST, _BEFORE, _N_READINGS = range(3)
#: Number of readings of a block; and from which number on the first block sets the floor.
BLOCK, FIRST_DAY = 28 * DAY_MIN, DAY_MIN
#: The lowest power of a block without a reading, kW.
UNKNOWN_KW = MOST


def initial_state() -> F32:
    """Return the state of a new device ``[3]``.

    It is the lowest power of the newest block and of the block before, kW, and the number of readings in the newest.
    """
    return np.array([UNKNOWN_KW, UNKNOWN_KW, 0.0], dtype=np.float32)


def with_lowest_powers(columns: Mapping[str, NDArray[Any]], n_devices: int) -> Mapping[str, NDArray[Any]]:
    """Return stored ``columns`` of ``n_devices`` with the lowest powers, which are unknown in earlier versions."""
    return {STATE: np.repeat(initial_state()[np.newaxis], n_devices, axis=0), **columns}


def floors_kw(state: F32, lowest_kw: F64, last_kw: F64, min_kw: float) -> F64:
    """Return the lowest power ``[N]`` of the forecasts, kW, at most ``last_kw`` ``[N]``, the newest readings.

    ``state`` ``[N, 3]`` is the state of the devices; ``lowest_kw`` ``[N]`` their lowest power ever, at most 0. The
    floor is ``min_kw`` for devices that feed in, and at most 0 within the first day.
    """
    is_known = (state[:, _N_READINGS] >= FIRST_DAY) | (state[:, _BEFORE] < UNKNOWN_KW)
    recent_kw = np.minimum(np.minimum(state[:, _NEWEST], state[:, _BEFORE]).astype(np.float64), last_kw)
    lowest_kw = np.minimum(lowest_kw, last_kw)
    usual_kw = np.where(is_known & (recent_kw > 0), recent_kw, np.minimum(lowest_kw, 0.0))
    return np.where(lowest_kw < FEEDS_IN_KW, min_kw, usual_kw)


def update(state: F32, last_kw: F64) -> None:
    """Add the measured readings ``last_kw`` ``[N]`` to ``state`` ``[N, 3]``, in place."""
    ends = state[:, _N_READINGS] >= BLOCK
    state[ends, _BEFORE] = state[ends, _NEWEST]
    state[:, _NEWEST] = np.where(ends, last_kw, np.minimum(state[:, _NEWEST], last_kw))
    state[:, _N_READINGS] = np.where(ends, 0.0, state[:, _N_READINGS]) + 1.0
