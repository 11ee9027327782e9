"""The risks of a load, from the newest outlook of its device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.billing.device_windows import DeviceWindows
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distributions.distribution import PowerDistributions
from gapcast.core.demand.distributions.remaining_inputs import RemainingInputs
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.demand.headroom.fuse import FuseRisk
from gapcast.core.demand.headroom.headroom import LoadRisks
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.outlook.outlook import Outlook


def load_risks(  # noqa: PLR0913 - what the risks depend on
    power: RemainingPower,
    fuse: FuseRisk,
    windows: DeviceWindows,
    row: int,
    *,
    demand: Demand,
    outlook: Outlook,
    window: F32,
    request: HeadroomRequest,
) -> LoadRisks:
    """Return the risks of the load of ``request`` at the device with the newest ``demand`` and ``outlook``.

    ``row`` indexes the state of ``power``; ``window`` ``[context]`` are the newest readings, kW, up to the reading of
    the outlook. The learned state is copied, so that any thread may use the risks. All ``windows`` have their present
    limits, including the windows of a demand that is older than a change of its limit.
    """
    running, following = (
        replace(one, limit_kw=windows.window_from(one.start_minute)[1]) for one in (demand.running, demand.next)
    )
    demand = replace(demand, running=running, next=following)
    means, copied = power.newest(row), power.copy_of(row)
    length_min = demand.running.end_minute - demand.running.start_minute
    if windows.options.imports_only:
        window = np.maximum(window, 0)
    least_kw = np.array([windows.state.least_kw])

    def powers(ahead_from: I64, ahead_to: I64) -> PowerDistributions:
        unlimited = np.full((len(ahead_to), 1), np.nan)
        return copied.distributions(
            RemainingInputs(
                np.zeros(1, dtype=np.int64),
                np.array([outlook.observed_minute]),
                window[np.newaxis],
                means.quantiles_kw,
                means.added_kw,
                means.floor_kw,
                ahead_from[:, np.newaxis],
                ahead_to[:, np.newaxis],
                np.array([length_min]),
                unlimited,
                unlimited,
                least_kw,
            )
        )

    def minutes_above(limit_kw: float) -> F64:
        found: F64 = fuse.minutes_above(outlook.point_kw[np.newaxis], np.array([limit_kw]))[0]
        return found

    return LoadRisks(demand, request, powers, minutes_above, windows.window_from)
