"""Makes demands from the running billing windows, the outlook of their remaining minutes, and the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.billing.device_windows import BYTES_PER_DEVICE, WindowState
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.billing.register_check import RegisterCheck
from gapcast.core.billing.registers import RunningRegister
from gapcast.core.billing.running_windows import RunningWindows
from gapcast.core.demand.demand import Demand, Demands
from gapcast.core.demand.distributions.exceedance_features import WIDTH
from gapcast.core.demand.distributions.planned_power import planned_power, without_plan
from gapcast.core.demand.distributions.remaining_power import RemainingPower
from gapcast.core.demand.headroom.fuse import FuseRisk
from gapcast.core.demand.scores.live_scores import LiveScores
from gapcast.core.demand.scores.scores import DemandScores
from gapcast.core.demand.state.demand_state import DemandState, has_newest, read_newest, stamp_newest
from gapcast.core.demand.state.stored_state import restore_state, restored_limits, state_columns
from gapcast.core.demand.step.compiled_demands import CompiledDemands
from gapcast.core.demand.step.demand_batch import DemandBatch, count_imports
from gapcast.core.demand.step.numpy_demands import NumpyDemands
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.outlook.outlook import MEAN, Outlooks
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.buffer import Buffers


class DemandForecaster:
    """Makes the demands of the devices with a limit and an outlook, and stores the newest demand of each device."""

    def __init__(self, options: SiteDemandOptions, model: ModelIdentity, max_devices: int, highest_kw: float) -> None:
        """Make demands of the first ``max_devices`` devices with ``options``, from the outlooks of ``model``.

        ``highest_kw`` is the highest power of a reading.
        """
        self.model = model
        self.highest_kw = highest_kw
        self._leads_min = model.lead_times_min
        self._any_imports_only = options.any_imports_only
        #: The running windows; the buffers add minutes to them.
        self.windows = RunningWindows(options, max_devices)
        #: The stored state of the devices.
        self.stored = DemandState(RemainingPower(self._leads_min, model.quantile_levels or (), highest_kw))
        #: The risk that a single minute exceeds the fuse.
        self.fuse = FuseRisk(self._leads_min)
        #: Computes batches: in C if the compiled library is available, else in numpy.
        self.arithmetic: CompiledDemands | NumpyDemands = CompiledDemands.create_if_available(
            self.stored, self.fuse, highest_kw
        ) or NumpyDemands(self.stored, self.fuse, highest_kw)
        #: The values of the meters' demand registers, by row. Not persisted: the next value arrives within seconds.
        self._registers: dict[int, RunningRegister] = {}
        #: Detects registers that are too low.
        self.register_check = RegisterCheck()

    def make(self, accepted: AcceptedBatch, windows: F32, outlooks: Outlooks | None) -> Demands | None:
        """Return the demands of the devices of ``accepted`` that have a demand; None if there are none.

        ``windows`` ``[N, context]`` are the windows of ``accepted``, kW; ``outlooks`` are the outlooks of its tracked
        devices.
        """
        if accepted.closed:
            self.stored.live.close(accepted.closed)
        for row in accepted.set_back_devices().values():
            self.learn()
            self.power.discard_pending(row + 1)
        if outlooks is None or outlooks.model_means is None:
            return None
        rows, minutes, devices, windows_of = accepted.rows, accepted.minutes, accepted.devices, self.windows.for_row
        # The windows of devices with a demand. A device may have been forgotten since its reading was accepted.
        limited = [i for i in accepted.billing if windows_of(rows[i]) is not None]
        if not limited:
            return None
        states, means = list(accepted.billing.values()), outlooks.model_means
        mean_kw, point_kw = outlooks.mean_kw, outlooks.point_kw
        if len(limited) < len(rows) or len(outlooks) < len(rows):
            with_outlook = np.flatnonzero(np.asarray(rows) < self.windows.max_rows)
            in_outlooks = np.searchsorted(with_outlook, limited)
            windows, means = windows[limited], means.select(in_outlooks)
            mean_kw, point_kw = mean_kw[in_outlooks], point_kw[in_outlooks]
            states = [accepted.billing[i] for i in limited]
            rows, minutes = [rows[i] for i in limited], [minutes[i] for i in limited]
            devices = [devices[i] for i in limited]
        if self._registers:
            states = list(map(self._by_register, rows, minutes, states))
        last_kw, planned = windows[:, -1].tolist(), None
        if accepted.planned:
            parts = [accepted.planned.get(i) for i in limited]
            last_kw = [kw if part is None else kw + part.subtracted_kw for kw, part in zip(last_kw, parts, strict=True)]
            planned = planned_power([None if part is None else part.minutes_kw for part in parts])
        if planned is not None:
            mean_kw, point_kw = without_plan(mean_kw, point_kw, planned.minutes_kw, self._leads_min)
        batch = DemandBatch(
            rows, minutes, last_kw, states, windows, means, mean_kw[..., MEAN], point_kw, outlooks.issued_at_ms, planned
        )
        if self._any_imports_only:
            batch = self._with_imports(batch, mean_kw)
        columns = self.arithmetic.make(batch)
        return Demands(outlooks.model, outlooks.issued_at_ms, devices, columns)

    def _with_imports(self, batch: DemandBatch, mean_kw: F64) -> DemandBatch:
        """Return ``batch`` with imported power for the devices whose windows count only imports.

        ``mean_kw`` ``[N, K, 4]`` are the outlooks' means without planned loads.
        """
        windows_of = [self.windows.for_row(row) for row in batch.rows]
        which = [i for i, one in enumerate(windows_of) if one is not None and one.options.imports_only]
        return count_imports(batch, mean_kw, which, self._leads_min)

    def _by_register(self, row: int, minute: int, state: WindowState) -> WindowState:
        """Return ``state`` with the sum of all elapsed minutes from the meter's register if that is plausible."""
        register = self._registers.get(row)
        if register is None:
            return state
        so_far_kw = register.so_far_kw(state.start_minute, state.end_minute, minute)
        if so_far_kw is None or not self.register_check.accepts_running(row, minute, state, so_far_kw):
            return state
        elapsed_min = minute + 1 - state.start_minute
        return state._replace(sum_kw=so_far_kw * elapsed_min, n_known=elapsed_min)

    def record_running_register(self, row: int, register: RunningRegister) -> None:
        """Use the meter's demand register in the next demand of ``row``, if it is usable at that time."""
        if self.windows.for_row(row) is not None:
            self._registers[row] = register

    def learn(self) -> None:
        """Learn from the outcomes in the readings of the last demands."""
        self.arithmetic.learn()

    def devices(self, names: Sequence[str]) -> list[str]:
        """Return the devices of ``names``, by row, that have a limit and a demand."""
        options, newest = self.windows.site_options, self.stored.newest
        rows = [row for row, name in enumerate(names[: self.windows.max_rows]) if name and has_newest(newest, row + 1)]
        return [names[row] for row in rows if options.for_device(names[row]).is_limited]

    def newest(self, row: int, device: str) -> Demand | None:
        """Return the newest demand of ``device`` in ``row``; None without one."""
        return read_newest(self.stored.newest, row + 1, device, self.model) if row < self.windows.max_rows else None

    def scores_of(self, row: int) -> DemandScores | None:
        """Return the live scores of the device of ``row``; None if it has no demand."""
        one = self.windows.for_row(row)
        return None if one is None else self.live.scores_of(row + 1, one.options.window_min)

    def stamp(self, rows: Sequence[int], issued_at_ms: Sequence[int]) -> None:
        """Set the time of issue of the newest demands of ``rows``; rows without a demand are skipped."""
        for row, at_ms in zip(rows, issued_at_ms, strict=True):
            if row < self.windows.max_rows:
                stamp_newest(self.stored.newest, row + 1, at_ms)

    @property
    def signature(self) -> str:
        """The key of the learned state's validity: the outlook model, its lead times, and the features."""
        return f"{self.model.name} {self.model.version} {','.join(map(str, self._leads_min))} {WIDTH}"

    @property
    def power(self) -> RemainingPower:
        """The distributions of the remaining power of windows."""
        return self.stored.power

    @property
    def live(self) -> LiveScores:
        """The live scores."""
        return self.stored.live

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return a copy of the state of ``rows``, for :meth:`restore_columns`."""
        self.learn()
        return state_columns(self.windows, self.stored.by_prefix(), self.signature, rows)

    def restore_columns(self, buffers: Buffers, columns: Mapping[str, NDArray[Any]]) -> str:
        """Restore the result of :meth:`columns`; its devices now have the rows of ``buffers``, in the same order.

        Return a description of the state that was discarded because values are out of range, empty if none was. The
        state of another outlook model is discarded. Devices without sound stored windows begin with the known minutes
        of ``buffers``. Raises :class:`StateError` if the columns do not fit each other.
        """
        self.windows.set_limits_kw = restored_limits(columns, self.windows, self.highest_kw)
        buffers.begin_billing(self.windows)
        return restore_state(self.windows, self.stored.by_prefix(), self.signature, buffers, columns)

    def adopt(self, before: DemandForecaster) -> None:
        """Continue with the state of ``before`` as far as it is valid here; ``before`` must not be used afterwards."""
        before.learn()
        self.windows.adopt(before.windows)
        self.register_check = before.register_check
        if before.signature == self.signature:
            self.stored.adopt(before.stored)

    @property
    def n_bytes_per_device(self) -> int:
        """Approximate bytes of state per device with a demand."""
        arrays = (array for state in self.stored.by_prefix().values() for array in state.arrays.values())
        return BYTES_PER_DEVICE + sum(int(array[0].nbytes) for array in arrays)

    def forget(self, row: int | None, device: str) -> None:
        """Remove all state of ``device`` in ``row`` (None: no readings), and the limit that was set for the device."""
        self.learn()
        self.windows.set_limit(row, device, None)
        if row is not None:
            self._registers.pop(row, None)
            self.register_check.forget(row)
            self.windows.forget(row)
            self.stored.forget(row)
