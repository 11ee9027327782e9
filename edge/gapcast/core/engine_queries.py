"""What an engine knows of its devices: newest forecasts, outlooks and demands, scores and plans."""

from __future__ import annotations

import numpy as np

from gapcast.core.acceptance import power_of_window
from gapcast.core.damaged_state import DAMAGED
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.headroom import LoadRisks
from gapcast.core.demand.headroom_request import HeadroomRequest
from gapcast.core.demand.month_peaks import DayPeak
from gapcast.core.demand.scores import DemandScores
from gapcast.core.engine_parts import EngineParts
from gapcast.core.forecast import Forecast
from gapcast.core.learning.summary import Period, Summary
from gapcast.core.newest_forecasts import NewestForecasts
from gapcast.core.outlook.outlook import Outlook
from gapcast.core.outlook.scores import OutlookScores
from gapcast.core.plan import LoadPlan
from gapcast.core.reading import Reading


class EngineQueries(EngineParts):
    """Answers questions about devices, and changes nothing."""

    def latest(self) -> list[Forecast]:
        """Return the newest forecast of every device that has one."""
        found = (self.latest_of(device) for device in self.buffers.names() if device)
        return [forecast for forecast in found if forecast is not None]

    def latest_of(self, device: str) -> Forecast | None:
        """Return the device's newest forecast, or None if the device is unknown or has none yet."""
        if device not in self.buffers:
            return None
        return self.forecaster_of(device).latest_of(self.buffers.row(device), device)

    def copy_latest(self) -> NewestForecasts:
        """Return a copy of the newest forecasts."""
        return NewestForecasts.copied(self.buffers.names(), self.horizons.all)

    def outlook_of(self, device: str) -> Outlook | None:
        """Return the newest outlook of ``device``, or None if the device is unknown or has none."""
        outlooks = self.forecaster_of(device).outlooks
        return (
            None
            if outlooks is None or device not in self.buffers
            else outlooks.newest(self.buffers.row(device), device)
        )

    def outlook_scores_of(self, device: str) -> dict[Period, OutlookScores]:
        """Return the live scores of the outlooks of ``device`` by period; empty if it has none."""
        outlooks = self.forecaster_of(device).outlooks
        return {} if outlooks is None else outlooks.scores_of(self.buffers.row(device))

    def demand_of(self, device: str) -> Demand | None:
        """Return the newest demand of ``device``, or None if the device is unknown or has none."""
        row = self._row_of(device)
        return None if self.demands is None or row is None else self.demands.newest(row, device)

    def demand_scores_of(self, device: str) -> DemandScores | None:
        """Return the live scores of the demands of ``device``; None if it has no demand."""
        row = self._row_of(device)
        return None if self.demands is None or row is None else self.demands.scores_of(row)

    def load_risks_of(self, device: str, request: HeadroomRequest) -> LoadRisks | None:
        """Return the risks of a load at ``device``; None if it has no demand of its newest reading."""
        demand, outlook = self.demand_of(device), self.outlook_of(device)
        if self.demands is None or demand is None or outlook is None:
            return None
        row, observed = self.buffers.row(device), self.buffers.stream(device).last_minute
        if {demand.observed_minute, outlook.observed_minute} != {observed}:
            return None
        with np.errstate(**DAMAGED):
            return self.demands.load_risks(row, demand, outlook, power_of_window(self.buffers.window(device)), request)

    def month_peak_of(self, device: str) -> float | None:
        """Return the highest window of the running month of ``device``, kW; None before the first."""
        row = self._row_of(device)
        return None if self.demands is None or row is None else self.demands.windows.month_peak_kw(row)

    def month_peaks_of(self, device: str, n_days: int) -> list[DayPeak]:
        """Return the highest windows of the running month of ``device``, of ``n_days`` days at most, highest first."""
        row = self._row_of(device)
        return [] if self.demands is None or row is None else self.demands.windows.month_peaks(row, n_days)

    def _row_of(self, device: str) -> int | None:
        return self.buffers.row(device) if device in self.buffers else None

    def plan_of(self, device: str) -> LoadPlan:
        """Return the announced loads of ``device`` that have not ended; none if there is no plan."""
        minute = self.buffers.stream(device).last_minute if device in self.buffers else None
        return self.plans.plan_of(device, minute)

    def scores_of(self, device: str) -> dict[Period, Summary]:
        """Return the live scores of ``device``."""
        return self.forecaster_of(device).scores.of(self.buffers.row(device))

    def explain_incomplete(self, reading: Reading) -> str:
        """Return a sentence that names the features missing from an ``INCOMPLETE`` reading, and the fix."""
        channels = self.buffers.channels[: self.buffers.n_required]
        names = " or ".join(reading.missing_features(channels))
        fix = f"send {', '.join(channels)} with each reading, or publish another model"
        return f"the reading has no {names}, which model {self.model.name} needs: {fix}"

    def is_changed(self, device: str) -> bool:
        """Return whether a plan or a limit was set for ``device``, which may be unknown otherwise."""
        has_limit = self.demands is not None and device in self.demands.windows.set_limits_kw
        return has_limit or device in self.plans.trackers
