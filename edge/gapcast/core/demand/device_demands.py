"""The demands of an engine, if it has any: made with each batch, read and changed by device name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.arrays.device_rows import DAMAGED
from gapcast.core.billing.device_windows import DeviceWindows
from gapcast.core.billing.export_warning import counts_exports
from gapcast.core.billing.infeasible_limit import InfeasibleLimit, infeasible_limit_of
from gapcast.core.billing.limit_changes import correct_month_peak, no_demand, set_limit
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.billing.register_check import LowRegister
from gapcast.core.billing.registers import RunningRegister
from gapcast.core.demand.demand import Demand, Demands
from gapcast.core.demand.demand_forecaster import DemandForecaster
from gapcast.core.demand.headroom.headroom import LoadRisks, farthest_min
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.demand.headroom.outlook_risks import load_risks
from gapcast.core.demand.scores.scores import DemandScores
from gapcast.core.outlook.outlook import Outlook, Outlooks
from gapcast.core.outlook.outlook_forecaster import OutlookForecaster
from gapcast.core.plans.plans import Plans
from gapcast.core.streams.acceptance import power_of_window
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import Buffers


class DeviceDemands:
    """The demands of the devices of ``buffers``; devices may be unknown, and without a limit there are no demands."""

    def __init__(
        self,
        options: SiteDemandOptions | None,
        outlooks: OutlookForecaster | None,
        buffers: Buffers,
        plans: Plans,
        highest_kw: float,
    ) -> None:
        """Make demands with ``options`` from ``outlooks``; if either is None there are no demands.

        ``highest_kw`` is the highest power of a reading. The ``buffers`` add their minutes to the running windows;
        loads of ``plans`` are subtracted from the readings.
        """
        self._buffers, self._plans = buffers, plans
        #: Makes the demands, by row of the buffers; None without a limit or outlooks.
        self.forecaster: DemandForecaster | None = None
        if options is not None and options.is_limited and outlooks is not None:
            self.forecaster = DemandForecaster(options, outlooks.model, outlooks.options.max_devices, highest_kw)
            buffers.billing = self.forecaster.windows

    def make(self, accepted: AcceptedBatch, measured: F32, outlooks: Outlooks | None) -> Demands | None:
        """Return the demands of the devices of ``accepted`` with a limit, and store the newest of each device.

        None without such devices. ``measured`` ``[N, context, C]`` are the windows of ``accepted``, ``outlooks`` the
        outlooks of its tracked devices.
        """
        if self.forecaster is None:
            return None
        return self.forecaster.make(accepted, measured[:, :, 0], outlooks)

    def learn(self) -> None:
        """Learn from the outcomes in the readings of the last demands."""
        if self.forecaster is not None:
            self.forecaster.learn()

    def stamp(self, rows: Sequence[int], issued_at_ms: Sequence[int]) -> None:
        """Set the time of issue of the newest demands of ``rows``; rows without a demand are skipped."""
        if self.forecaster is not None:
            self.forecaster.stamp(rows, issued_at_ms)

    def adopt(self, before: DeviceDemands, buffers: Buffers) -> None:
        """Continue with the state of ``before`` as far as it is valid here, and with ``buffers``.

        ``before`` must not be used afterwards.
        """
        self._buffers = buffers
        buffers.billing = None
        if self.forecaster is not None:
            if before.forecaster is not None:
                self.forecaster.adopt(before.forecaster)
            buffers.begin_billing(self.forecaster.windows)

    def overriding_limits(self) -> dict[str, tuple[float, str]]:
        """Return the limits that were set at run time and differ from the configured ones, kW, with the latter.

        Only those of devices with readings: each shard also has the limits of the other shards' devices.
        """
        if self.forecaster is None:
            return {}
        windows = self.forecaster.windows
        own_kw = {device: kw for device, kw in windows.set_limits_kw.items() if device in self._buffers}
        both = {device: (kw, windows.site_options.for_device(device)) for device, kw in own_kw.items()}
        return {device: (kw, options.limit_text) for device, (kw, options) in both.items() if kw != options.limit_kw}

    def has_set_limit(self, device: str) -> bool:
        """Return whether a limit was set for ``device`` at run time, even before its first reading."""
        return self.forecaster is not None and device in self.forecaster.windows.set_limits_kw

    def forget(self, row: int | None, device: str) -> None:
        """Remove all state of ``device`` in ``row`` (None: no readings), and the limit that was set for the device."""
        if self.forecaster is not None:
            self.forecaster.forget(row, device)

    def newest(self, device: str) -> Demand | None:
        """Return the newest demand of ``device``; None if the device is unknown or has no demand."""
        row = self._row_of(device)
        return None if self.forecaster is None or row is None else self.forecaster.newest(row, device)

    def scores_of(self, device: str) -> DemandScores | None:
        """Return the live scores of the demands of ``device``; None if it has no demand."""
        row = self._row_of(device)
        return None if self.forecaster is None or row is None else self.forecaster.scores_of(row)

    def load_risks(self, device: str, outlook: Outlook | None, request: HeadroomRequest) -> LoadRisks | None:
        """Return the risks of a load at ``device``, whose newest outlook is ``outlook``.

        None if the device has no demand, or no outlook of its newest reading.
        """
        demand, windows, forecaster = self.newest(device), self._windows_of(device), self.forecaster
        if forecaster is None or windows is None or demand is None or outlook is None:
            return None
        row, observed = self._buffers.row(device), self._buffers.stream(device).last_minute
        if {demand.observed_minute, outlook.observed_minute} != {observed}:
            return None
        window_kw, planned_kw = power_of_window(self._buffers.window(device)), None
        if device in self._plans.trackers:
            tracker = self._plans.trackers[device]
            tracker.subtract(observed, window_kw)
            planned_kw = tracker.forecast_minutes(observed, max(farthest_min(request), outlook.lead_times_min[-1]))
        with np.errstate(**DAMAGED):
            return load_risks(
                forecaster.power,
                forecaster.fuse,
                windows,
                row + 1,
                demand=demand,
                outlook=outlook,
                window=window_kw,
                request=request,
                planned_kw=planned_kw,
            )

    def month_peaks(self, device: str, n_days: int) -> list[DayPeak]:
        """Return the highest windows of the running month of ``device``, at most ``n_days`` days, highest first."""
        one = self._windows_of(device)
        return [] if one is None else one.peaks.highest(n_days)

    @property
    def timezone(self) -> str:
        """IANA name of the time zone of windows and months."""
        return "UTC" if self.forecaster is None else str(self.forecaster.windows.site_options.zone)

    def infeasible_limit(self, device: str) -> InfeasibleLimit | None:
        """Return the fixed limit of ``device`` if every window of a day exceeded it."""
        one = self._windows_of(device)
        return None if one is None else infeasible_limit_of(device, one.options, one.set_limit_kw, one.lowest)

    def new_infeasible_limit(self, device: str) -> InfeasibleLimit | None:
        """Return :meth:`infeasible_limit` if it differs from the result at the last call for ``device``."""
        found, one = self.infeasible_limit(device), self._windows_of(device)
        return found if one is not None and one.lowest.report(found) else None

    def is_new_export(self, device: str) -> bool:
        """Return whether exported power lowers the mean of the windows of ``device``: True once, and then False."""
        one = self._windows_of(device)
        if one is None or one.is_export_reported or not counts_exports(one.options, one.set_limit_kw):
            return False
        one.is_export_reported = True
        return True

    def set_limit(self, device: str, limit_kw: float | None) -> None:
        """Set the limit of ``device``, kW; the device may be unknown yet. None restores the configured limit.

        Raises :class:`~gapcast.core.errors.PayloadError` if the device has no demand, or if the limit is impossible.
        """
        forecaster = self._required(device)
        set_limit(forecaster.windows, forecaster.highest_kw, self._row_of(device), device, limit_kw)

    def correct_month_peak(self, device: str, peak_kw: float, minute: int | None) -> None:
        """Correct the highest window of the running month of ``device``, kW: it is the window that contains ``minute``.

        None stands for the last window that is over and has a limit. Raises
        :class:`~gapcast.core.errors.PayloadError` if the device has no demand, if the power is impossible, or if the
        window is not over, of another month, or without a limit at its time.
        """
        forecaster = self._required(device)
        correct_month_peak(forecaster.windows, forecaster.highest_kw, self._row_of(device), device, peak_kw, minute)

    def record_running_register(self, device: str, register: RunningRegister) -> None:
        """Use the meter's demand register of ``device`` for the next demand, if the device has demands."""
        if self.forecaster is not None and device in self._buffers:
            self.forecaster.record_running_register(self._buffers.row(device), register)

    def accepts_peak_register(self, device: str, peak_kw: float) -> bool:
        """Return whether the meter's register of the month's peak of ``device``, kW, is plausible."""
        row, one = self._row_of(device), self._windows_of(device)
        highest = None if one is None else next(iter(one.peaks.highest(1)), None)
        if self.forecaster is None or row is None or one is None or highest is None:
            return True
        check, start_minute = self.forecaster.register_check, one.window.start_minute
        return check.accepts_peak(row, start_minute, highest.kw, one.peaks.confirmed_kw, peak_kw)

    def take_low_registers(self) -> list[tuple[str, LowRegister]]:
        """Return the devices with a register that is to be reported since the last call, each with the register."""
        reports = [] if self.forecaster is None else self.forecaster.register_check.take_reports()
        return [(self._buffers.device(one.row), one) for one in reports]

    def _row_of(self, device: str) -> int | None:
        return self._buffers.row(device) if device in self._buffers else None

    def _windows_of(self, device: str) -> DeviceWindows | None:
        row = self._row_of(device)
        return None if self.forecaster is None or row is None else self.forecaster.windows.for_row(row)

    def _required(self, device: str) -> DemandForecaster:
        """Return the forecaster; raise :class:`~gapcast.core.errors.PayloadError` if there is none."""
        if self.forecaster is None:
            raise no_demand(device, ", with outlooks enabled")
        return self.forecaster
