"""Features of loads that switch: when and how far power last stepped up and down, and how long phases last.

A step is a change from one minute to the next of more than three quarters of the device's scale, so that the same house
at another scale has the same steps. A person would read these features from the curve of a compressor, a kettle or a
dryer; a linear model of the newest minutes has none of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64

#: Smallest step, in units of the device's scale.
_STEP_SCALES = 0.75
#: Minutes after which a step's height counts for 1/e in the decaying features.
_FADE_MIN = 5.0
#: Unit of the minutes by which a phase is longer or shorter than the last one, and their limit in this unit.
_LONGER_UNIT_MIN, _LONGER_LIMIT = 10.0, 5.0
#: A step takes up to this many minutes, because a load switches within a minute.
_STEP_MIN = 2

#: Columns in kW: the last step up and down, the height above the level before the last step up, and the same, decaying.
KW_NAMES = ("step up", "step down", "above", "fresh step up", "fresh step down", "fresh above")
#: Columns without a unit: logarithms of the minutes since the last steps and of the lengths of the last phases, how
#: much longer than the last phase the present one is, and whether the last step was up.
TIME_NAMES = ("since up", "since down", "last on", "last off", "longer on", "longer off", "is on")
N_KW, N_TIMES = len(KW_NAMES), len(TIME_NAMES)


def write_steps(windows: F32, scale_kw: F32, kw: F32, times: F32) -> None:
    """Write the features of ``windows`` ``[N, context]``, kW, to ``kw`` ``[N, 6]`` and ``times`` ``[N, 7]``.

    ``scale_kw`` ``[N]`` are the devices' scales. Times before the window count as its length, heights as zero.
    """
    n, context = windows.shape
    at, longest = np.arange(n), context - 1
    backwards = windows[:, ::-1]
    change = backwards[:, :-1] - backwards[:, 1:]  # newest first: index k is the change into the minute k back
    smallest = (scale_kw * np.float32(_STEP_SCALES))[:, np.newaxis]
    ups, downs = change > smallest, change < -smallest
    age = np.arange(longest)
    up, has_up = _newest(ups, at)
    down, has_down = _newest(downs, at)
    begun, has_on = _newest(ups & (age > down[:, np.newaxis]), at)
    ended, has_off = _newest(downs & (age > up[:, np.newaxis]), at)

    before_kw = backwards[at, np.minimum(up + _STEP_MIN, longest)]
    kw[:, 0] = backwards[at, up] - before_kw
    kw[:, 1] = backwards[at, down] - backwards[at, np.minimum(down + _STEP_MIN, longest)]
    kw[:, 2] = backwards[:, 0] - before_kw
    kw[~has_up, 0] = kw[~has_down, 1] = kw[~has_up, 2] = 0.0
    fade_up, fade_down = np.exp(up / -_FADE_MIN), np.exp(down / -_FADE_MIN)
    kw[:, 3], kw[:, 4], kw[:, 5] = kw[:, 0] * fade_up, kw[:, 1] * fade_down, kw[:, 2] * fade_up

    last_on, last_off = np.where(has_on, begun - down, context), np.where(has_off, ended - up, context)
    times[:, 0], times[:, 1], times[:, 2], times[:, 3] = np.log1p((up, down, last_on, last_off))
    times[:, 4] = np.where(has_up & has_on, _longer(up - last_on), 0.0)
    times[:, 5] = np.where(has_down & has_off, _longer(down - last_off), 0.0)
    times[:, 6] = up < down


def _newest(steps: NDArray[np.bool_], at: I64) -> tuple[I64, NDArray[np.bool_]]:
    """Return the age of each row's newest step ``[N]``, or the row length without one, and whether there is one."""
    place = steps.argmax(1)
    found = steps[at, place]
    return np.where(found, place, steps.shape[1]), found


def _longer(minutes: I64) -> F64:
    return np.clip(minutes / _LONGER_UNIT_MIN, -_LONGER_LIMIT, _LONGER_LIMIT)
