"""Checks of stored plans: values that no plan could have are from a damaged file."""

from __future__ import annotations

import math

from gapcast.core.plans.plan import MAX_LOADS, PlannedLoad
from gapcast.core.plans.plan_tracker import TrackerState
from gapcast.core.readings.reading import is_device_id
from gapcast.core.readings.state_limits import MOST


def is_plausible_load(load: PlannedLoad) -> bool:
    """Return whether a stored load could have been announced."""
    return math.isfinite(load.kw) and abs(load.kw) <= MOST and 0 <= load.start_ms < load.end_ms


def is_plausible_tracker(state: TrackerState) -> bool:
    """Return whether a stored state could have been reached."""
    powers = [kw for _, kw in state.attributed] + [kw for _, *both in state.issued for kw in both]
    shares = [share for one in state.seen for share in (one.last, *one.inner)]
    return (
        is_device_id(state.device)
        and len(state.loads) <= MAX_LOADS
        and all(map(is_plausible_load, (*state.loads, *state.stopped)))
        and all(math.isfinite(kw) and abs(kw) <= MOST * MAX_LOADS for kw in powers)
        and all(0.0 <= share <= 1.0 for share in shares)
    )
