"""The plans of all devices: subtract planned loads from windows, add them to forecasts, and restore total outcomes.

The models and the ensemble see, forecast and learn only the uncontrolled part of a device's power. The published,
stored and scored power is the total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.arrays.device_rows import DAMAGED
from gapcast.core.errors import PayloadError
from gapcast.core.forecasts.forecast import DECIMALS, Forecasts
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.plans.plan import LoadPlan
from gapcast.core.plans.plan_tracker import PlanTracker, TrackerState, is_plausible_tracker
from gapcast.core.time_grid import MINUTE_MS

#: Largest number of loads in the plans of all devices: about 20 MB.
MAX_TOTAL_LOADS = 100_000
#: Minutes after which a forecast no longer waits for its outcome.
_OUTCOME_MIN = 1_024


class PlannedPart(NamedTuple):
    """The planned power of a forecast, kW.

    ``subtracted_kw`` is the power in the newest reading, ``added_kw`` the power in the minute of each lead time.
    ``is_on``: by the plan a load is on between the two; if unset, a load stopped late. ``minutes_kw`` is the planned
    power of each minute of outlooks and demands, None without an outlook, or if no load is on until their end.
    """

    subtracted_kw: float
    added_kw: tuple[float, ...]
    is_on: bool
    minutes_kw: F64 | None = None

    @property
    def is_in_forecast(self) -> bool:
        """Whether the forecast differs from a forecast without a plan."""
        return self.is_on or self.subtracted_kw != 0


class Plans:
    """The plans of devices, by name; a device without a reading may have a plan."""

    def __init__(
        self,
        leads_min: Sequence[int],
        *,
        has_outcomes: bool = True,
        max_loads: int = MAX_TOTAL_LOADS,
        own_leads_min: Mapping[str, Sequence[int]] | None = None,
        outlook_min: int = 0,
    ) -> None:
        """Hold at most ``max_loads`` loads; forecasts have the lead times ``leads_min``, the last is the horizon.

        ``has_outcomes``: whether the outcomes of forecasts will be known. ``own_leads_min`` are the lead times of
        devices with a horizon of their own, ``outlook_min`` the last minute ahead of outlooks and demands (0: none).
        """
        self._leads_min = tuple(leads_min)
        self._own_leads_min = {device: tuple(leads) for device, leads in (own_leads_min or {}).items()}
        self._has_outcomes = has_outcomes
        self._outlook_min = outlook_min
        self._max_loads = max_loads
        #: Devices with a plan, or a trace of one. Empty without plans, which then cost no time elsewhere.
        self.trackers: dict[str, PlanTracker] = {}

    def replace_plan(self, device: str, plan: LoadPlan, minute: int | None, totals_kw: F32 | None) -> bool:
        """Replace the plan of ``device``; see :meth:`PlanTracker.replace_plan`.

        Raises :class:`PayloadError` if all plans together have too many loads.
        """
        others = sum(len(one.plan.loads) for name, one in self.trackers.items() if name != device)
        if others + len(plan.loads) > self._max_loads:
            n_loads = others + len(plan.loads)
            detail = f"{n_loads} announced loads exceed the limit of {self._max_loads} over all devices: clear some"
            raise PayloadError("too_many_loads", detail)
        tracker = self.trackers.get(device)
        if tracker is None:
            if not plan.loads:
                return False
            tracker = self.trackers[device] = PlanTracker()
        shows = tracker.replace_plan(plan, minute, totals_kw)
        if tracker.is_idle:
            del self.trackers[device]
        return shows

    def plan_of(self, device: str, minute: int | None) -> LoadPlan:
        """Return the plan of ``device`` without the loads that have ended at ``minute``, its newest reading."""
        tracker = self.trackers.get(device)
        if tracker is None:
            return LoadPlan()
        return tracker.plan if minute is None else tracker.plan.without_ended((minute + 1) * MINUTE_MS)

    def observe(self, device: str, minute: int, window_kw: F32) -> PlannedPart | None:
        """Subtract planned loads from the window ``window_kw`` ``[context]`` that ends at ``minute``, in place.

        Return the planned part of the forecast, which is stored until the outcome; None without one.
        """
        tracker = self.trackers[device]
        subtracted_kw = tracker.observe(minute, window_kw)
        tracker.subtract(minute, window_kw)
        while tracker.issued and (oldest := next(iter(tracker.issued))) < minute - _OUTCOME_MIN:
            del tracker.issued[oldest]
        if tracker.is_idle:
            del self.trackers[device]
            return None
        leads_min = self._leads_of(device)
        # The current plan: later readings of the batch may end it before forecasts and outlooks are made.
        loads = tracker.plan.loads_between(minute, minute + leads_min[-1])
        minutes_kw = tracker.forecast_minutes(minute, self._outlook_min)
        if not subtracted_kw and not loads and minutes_kw is None:
            return None
        added_kw = tuple(tracker.expected_kw(minute + lead, loads) for lead in leads_min)
        part = PlannedPart(subtracted_kw, added_kw, bool(loads), minutes_kw)
        if self._has_outcomes and part.is_in_forecast:
            tracker.issued[minute] = subtracted_kw, added_kw[-1]
        return part

    def _leads_of(self, device: str) -> tuple[int, ...]:
        """Return the lead times of the forecasts of ``device``, minutes."""
        return self._own_leads_min.get(device, self._leads_min)

    def add_to(
        self, forecasts: Forecasts, planned: Mapping[int, PlannedPart], forecast_range: ForecastRange
    ) -> Forecasts:
        """Return ``forecasts`` of the uncontrolled parts plus the ``planned`` power, by index of the forecast.

        Powers stay within ``forecast_range``.
        """
        parts = {i: part for i, part in planned.items() if part.is_in_forecast}
        if not parts:
            return forecasts

        def total_kw(value_kw: float, added_kw: float) -> float:
            total = np.float32(min(max(value_kw + added_kw, forecast_range.low_kw), forecast_range.high_kw))
            return round(float(total), DECIMALS)

        columns: dict[str, Any] = {
            name: None if getattr(forecasts, name) is None else list(getattr(forecasts, name))
            for name in ("gap_kw", "median_kw", "lower_kw", "upper_kw")
        }
        path_kw = None if forecasts.path_kw is None else forecasts.path_kw.copy()
        uncontrolled_kw: list[float | None] = [None] * len(forecasts)
        planned_kw: list[float | None] = [None] * len(forecasts)
        for i, part in parts.items():
            added_kw = part.added_kw[-1]
            if part.is_on:
                uncontrolled_kw[i], planned_kw[i] = forecasts.gap_kw[i], round(added_kw, DECIMALS)
            for column in columns.values():
                if column is not None:
                    column[i] = total_kw(column[i], added_kw)
            if path_kw is not None:
                path_kw[i] = [total_kw(kw, added) for kw, added in zip(path_kw[i].tolist(), part.added_kw, strict=True)]
        return replace(
            forecasts, **columns, path_kw=path_kw, uncontrolled_kw=uncontrolled_kw, planned_kw=planned_kw, numbers=None
        )

    @np.errstate(**DAMAGED)
    def totals_of(self, outcomes: Outcomes, device_of: Callable[[int], str], forecast_range: ForecastRange) -> Outcomes:
        """Return ``outcomes`` of uncontrolled parts as outcomes of the total; ``device_of`` maps rows to devices.

        The published forecast and the forecasts of all members include the plan at the time of publication; persistence
        is the last reading.
        """
        copied = None
        for i, (row, minute) in enumerate(zip(outcomes.rows.tolist(), outcomes.minutes.tolist(), strict=True)):
            device = device_of(row)
            tracker = self.trackers.get(device)
            if tracker is None:
                continue
            horizon_min = self._leads_of(device)[-1]
            actual_kw, _ = tracker.issued.get(minute, (0.0, 0.0))
            last_kw, added_kw = tracker.issued.get(minute - horizon_min, (0.0, 0.0))
            for past in [one for one in tracker.issued if one < minute - horizon_min]:
                del tracker.issued[past]
            if not (actual_kw or last_kw or added_kw):
                continue
            if copied is None:
                copied = Outcomes(*(getattr(outcomes, field.name).copy() for field in fields(outcomes)))
            copied.actual_kw[i] += actual_kw
            copied.last_kw[i] += last_kw
            copied.members_kw[i] += added_kw
            copied.members_kw[i, :, -1] = copied.last_kw[i]
            published_kw = copied.published_kw[i] + added_kw
            copied.published_kw[i] = np.clip(published_kw, forecast_range.low_kw, forecast_range.high_kw)
        return outcomes if copied is None else copied

    def forget(self, device: str) -> bool:
        """Discard the plan of ``device``; return whether there was one."""
        return self.trackers.pop(device, None) is not None

    def adopt(self, before: Plans) -> None:
        """Continue with the plans of ``before``, whose forecasts may have another horizon."""
        self.trackers = before.trackers
        for device, tracker in self.trackers.items():
            if before._leads_of(device)[-1] != self._leads_of(device)[-1]:
                tracker.issued.clear()

    def states(self) -> list[TrackerState]:
        """Return the state of each device with a plan, for :meth:`restore`."""
        return [tracker.state(device) for device, tracker in self.trackers.items()]

    def restore(self, states: Sequence[TrackerState]) -> None:
        """Restore the result of :meth:`states`; implausible states are ignored."""
        self.trackers = {one.device: PlanTracker.from_state(one) for one in states if is_plausible_tracker(one)}
