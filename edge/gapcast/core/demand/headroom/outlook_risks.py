"""The risks of a load, from the newest outlook of its device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.billing.device_windows import DeviceWindows
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distributions.distribution import PowerDistributions
from gapcast.core.demand.distributions.planned_power import without_plan
from gapcast.core.demand.distributions.remaining_inputs import RemainingInputs
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.demand.headroom.fuse import FuseRisk
from gapcast.core.demand.headroom.headroom import LoadRisks
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.demand.step.demand_batch import minutes_of, plan_of_imports
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
    planned_kw: F64 | None,
) -> LoadRisks:
    """Return the risks of the load of ``request`` at the device with the newest ``demand`` and ``outlook``.

    ``row`` indexes the state of ``power``; ``window`` ``[context]`` are the newest readings, kW, up to the reading of
    the outlook, without planned loads. ``planned_kw`` ``[M]`` is the planned power of the minutes after them; None
    without planned loads. The learned state is copied, so that any thread may use the risks. All ``windows`` have their
    present limits, including the windows of a demand that is older than a change of its limit.
    """
    running, following = (
        replace(one, limit_kw=windows.window_from(one.start_minute)[1]) for one in (demand.running, demand.next)
    )
    demand = replace(demand, running=running, next=following)
    means, copied = power.newest(row), power.copy_of(row)
    length_min = demand.running.end_minute - demand.running.start_minute
    imports_only, least_kw = windows.options.imports_only, np.array([windows.state.least_kw])
    if imports_only:
        window = np.maximum(window, 0)
    point_kw, of_windows = outlook.point_kw[np.newaxis], planned_kw
    if planned_kw is not None:
        mean_kw, minutes_kw = outlook.mean_kw[np.newaxis], planned_kw[np.newaxis]
        mean_kw, point_kw = without_plan(mean_kw, point_kw, minutes_kw, outlook.lead_times_min)
        if imports_only:
            own_kw = minutes_of(mean_kw, outlook.lead_times_min, len(planned_kw))
            of_windows = plan_of_imports(minutes_kw, own_kw)[0]

    def powers(ahead_from: I64, ahead_to: I64, of_plan: F64) -> PowerDistributions:
        unlimited = np.full((len(ahead_to), 1), np.nan)
        return copied.distributions(
            RemainingInputs(
                np.zeros(1, dtype=np.int64),
                np.array([outlook.observed_minute]),
                window[np.newaxis],
                means.quantiles_kw,
                means.floor_kw,
                ahead_from[:, np.newaxis],
                ahead_to[:, np.newaxis],
                np.array([length_min]),
                unlimited,
                unlimited,
                least_kw,
                of_plan[:, np.newaxis],
            )
        )

    def minutes_above(limit_kw: float) -> F64:
        limits_kw = np.array([limit_kw]) if planned_kw is None else limit_kw - planned_kw
        found: F64 = fuse.minutes_above(point_kw, limits_kw[np.newaxis])[0]
        return found

    return LoadRisks(demand, request, powers, minutes_above, windows.window_from, of_windows)
