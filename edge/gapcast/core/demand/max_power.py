"""The power that a whole house may draw: one number for controllers that measure the house themselves, such as evcc.

Such a controller adds to its load what the number leaves above the measured power, several times between two readings.
With the headroom alone it would count its own load twice: what it has switched on is part of the house's power.
"""

from __future__ import annotations

import math

from gapcast.core.demand.demand import Demand, WindowDemand

#: Controllers apply a number with a delay, and until it is outdated: for so many minutes it may reach the next window.
HOLD_MIN = 2
#: In evcc, 0 is no limit, and so is a negative number in places.
LOWEST_W = 1
_W_PER_KW = 1_000


def max_power_w(demand: Demand) -> int:
    """Return the mean power that the house may draw from now to the end of the running window, whole W, at least 1.

    It is the expected mean of the window's other minutes plus the headroom: what the limit leaves for them, less the
    distance of their upper quantile, at the accepted risk, from their mean. With :data:`HOLD_MIN` minutes or fewer
    left it is not above that of the next window, in which controllers may still apply it.
    """
    running = demand.running
    power_kw = _allowed_kw(running)
    if _left_min(running) <= HOLD_MIN:
        power_kw = min(power_kw, _allowed_kw(demand.next))
    return max(LOWEST_W, math.floor(power_kw * _W_PER_KW))


def _left_min(window: WindowDemand) -> int:
    return window.end_minute - window.start_minute - window.elapsed_min


def _allowed_kw(window: WindowDemand) -> float:
    if window.so_far_kw is None:
        return window.expected_kw + window.headroom_kw
    n_minutes, elapsed_min = window.end_minute - window.start_minute, window.elapsed_min
    rest_kw = (n_minutes * window.expected_kw - elapsed_min * window.so_far_kw) / (n_minutes - elapsed_min)
    return rest_kw + window.headroom_kw
