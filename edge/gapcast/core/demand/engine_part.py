"""The engine's part that makes demands: running windows, the outlook of their rest, and the limits that apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.accepted_batch import AcceptedBatch
from gapcast.core.buffer import Buffers
from gapcast.core.demand.demand import F64, Demand, Demands
from gapcast.core.demand.fuse import FuseRisk
from gapcast.core.demand.headroom import LoadRisks
from gapcast.core.demand.headroom_request import HeadroomRequest
from gapcast.core.demand.limit_changes import correct_month_peak, set_limit
from gapcast.core.demand.live_scores import LiveScores
from gapcast.core.demand.newest_demands import NEWEST, initial_newest, read_newest, stamp_newest, store_newest
from gapcast.core.demand.options import DemandPlan
from gapcast.core.demand.outlook_risks import load_risks
from gapcast.core.demand.registers import RunningRegister
from gapcast.core.demand.remaining import RemainingPower
from gapcast.core.demand.running_windows import BYTES_PER_DEVICE, RunningWindows
from gapcast.core.demand.scores import DemandScores
from gapcast.core.demand.stored_state import restore_state, restored_limits, state_columns
from gapcast.core.demand.window_forecasts import (
    END,
    FUSE,
    N_KNOWN,
    PEAK,
    START,
    SUM,
    columns_of,
    forecast_windows,
)
from gapcast.core.demand.window_powers import WindowPowers, remaining_of
from gapcast.core.learning.device_rows import DeviceRows
from gapcast.core.outlook.flags import is_any
from gapcast.core.outlook.outlook import MEAN, Outlook, Outlooks
from gapcast.core.outlook.row_index import row_index
from gapcast.core.predictor import ModelIdentity
from gapcast.core.window import F32, I64


class DemandPart:
    """Makes the demands of the devices with a limit and an outlook, and stores the newest of each."""

    def __init__(self, plan: DemandPlan, model: ModelIdentity, max_devices: int, highest_kw: float) -> None:
        """Make demands by ``plan`` of the first ``max_devices`` devices, from outlooks of ``model``.

        ``highest_kw`` is the highest power of a reading.
        """
        self.model = model
        self.highest_kw = highest_kw
        self._leads_min = model.lead_times_min
        #: The running windows, which the buffers add minutes to.
        self.windows = RunningWindows(plan, max_devices)
        self.power = RemainingPower(self._leads_min, model.quantile_levels or ())
        self._powers = WindowPowers(self.power)
        self._fuse = FuseRisk(self._leads_min)
        #: The live scores.
        self.live = LiveScores()
        #: The newest demands, in the rows from 1 on, like those of the outlooks.
        self.state = DeviceRows({NEWEST: initial_newest()})
        #: The meters' demand registers, by row. They are not persisted: the next one comes in seconds.
        self._registers: dict[int, RunningRegister] = {}

    def make(self, accepted: AcceptedBatch, windows: F32, outlooks: Outlooks | None) -> Demands | None:
        """Return the demands of the devices of ``accepted`` that have one; None if there are none.

        ``windows`` ``[N, context]`` are those of ``accepted``, kW; ``outlooks`` those of its tracked devices.
        """
        self.live.close(accepted.closed)
        if outlooks is None or outlooks.model_means is None:
            return None
        # A device may have been forgotten since its reading was accepted.
        billing = {i: one for i, one in accepted.billing.items() if self.windows.of(accepted.rows[i]) is not None}
        if not billing:
            return None
        which, rows = np.array(list(billing)), np.asarray(accepted.rows, dtype=np.int64)
        at = of_outlooks = row_index(which)
        if len(outlooks) < len(rows):
            of_outlooks = row_index(np.searchsorted(np.flatnonzero(rows < self.windows.max_rows), which))
        rows = rows[at]
        observed = np.asarray(outlooks.observed_minutes, dtype=np.int64)[of_outlooks]
        states = np.array(list(billing.values()), dtype=np.float64)
        if self._registers:
            self._use_registers(rows, observed, states)
        of_windows = columns_of(states, observed)
        self.state.index(rows + 1)
        means = outlooks.model_means.select(of_outlooks)
        inputs = remaining_of(rows + 1, observed, windows[at], means, of_windows)
        shares = self.power.means.shares(inputs.ahead_from, inputs.ahead_to)
        remaining = self._powers.distributions(inputs, shares)
        self.power.store_newest(inputs.rows, means)
        mean_kw = np.add.reduce(shares * outlooks.mean_kw[of_outlooks, :, MEAN], axis=-1)
        running, following = forecast_windows(of_windows, remaining, mean_kw, self.highest_kw)
        made = Demands(
            model=outlooks.model,
            issued_at_ms=outlooks.issued_at_ms,
            devices=[accepted.devices[i] for i in billing],
            observed_minutes=observed,
            running=running,
            next=following,
            risk=of_windows.risk,
            month_peak_kw=states[:, PEAK],
            fuse_kw=states[:, FUSE],
            p_fuse=np.full(len(which), np.nan),
        )
        self._add_fuse(made, outlooks.point_kw[of_outlooks], inputs.ahead_to[0])
        store_newest(self.state, inputs.rows, made, of_windows.values)
        last_kw = windows[at, -1].astype(np.float64)
        if accepted.planned:
            parts = (accepted.planned.get(i) for i in billing)
            last_kw += [0.0 if part is None else part.subtracted_kw for part in parts]
        self.live.record(inputs.rows, made, last_kw)
        return made

    def _use_registers(self, rows: I64, observed: I64, states: F64) -> None:
        """Write the sum of the known minutes by the meters' registers into ``states`` where they are of use."""
        for i, row in enumerate(rows.tolist()):
            register = self._registers.get(row)
            if register is not None:
                bounds = int(states[i, START]), int(states[i, END])
                so_far_kw = register.so_far_kw(*bounds, int(observed[i]))
                if so_far_kw is not None:
                    states[i, SUM] = so_far_kw * states[i, N_KNOWN]

    def record_running_register(self, row: int, register: RunningRegister) -> None:
        """Use the meter's demand register in the next demand of ``row``, if it then is of use."""
        if self.windows.of(row) is not None:
            self._registers[row] = register

    def _add_fuse(self, made: Demands, point_kw: F64, left_min: I64) -> None:
        """Write the probabilities of fuses, and limit the headroom of the running windows by them, in place."""
        has_fuse = ~np.isnan(made.fuse_kw)
        if is_any(has_fuse):
            fused = np.flatnonzero(has_fuse)
            of_fuse = point_kw[fused], left_min[fused], made.fuse_kw[fused]
            made.p_fuse[fused] = self._fuse.p_above(*of_fuse)
            headroom_kw = self._fuse.headroom_kw(*of_fuse, made.risk[fused])
            made.running.headroom_kw[fused] = np.minimum(made.running.headroom_kw[fused], headroom_kw)

    def set_limit(self, row: int | None, device: str, limit_kw: float | None) -> None:
        """Set the limit of ``device``; see :func:`~gapcast.core.demand.limit_changes.set_limit`."""
        set_limit(self.windows, self.highest_kw, row, device, limit_kw)

    def correct_month_peak(self, row: int | None, device: str, peak_kw: float, minute: int | None) -> None:
        """Correct the month's peak; see :func:`~gapcast.core.demand.limit_changes.correct_month_peak`."""
        correct_month_peak(self.windows, self.highest_kw, row, device, peak_kw, minute)

    def load_risks(
        self, row: int, demand: Demand, outlook: Outlook, window: F32, request: HeadroomRequest
    ) -> LoadRisks | None:
        """Return the risks of a load at the device of ``row``; None if it has a limit no more.

        See :func:`~gapcast.core.demand.outlook_risks.load_risks`.
        """
        one = self.windows.of(row)
        if one is None:
            return None
        return load_risks(
            self.power, self._fuse, one, row + 1, demand=demand, outlook=outlook, window=window, request=request
        )

    def learn(self) -> None:
        """Learn from the outcomes that the readings of the last demands bring."""
        self._powers.learn()

    def devices(self, names: Sequence[str]) -> list[str]:
        """Return those of the devices ``names``, by row, that have a demand, or will with their second reading."""
        plan, n_rows = self.windows.plan, self.windows.max_rows
        return [name for name in names[:n_rows] if name and plan.of(name).is_limited]

    def newest(self, row: int, device: str) -> Demand | None:
        """Return the newest demand of ``device``, which has ``row``; None without one."""
        return read_newest(self.state, row + 1, device, self.model) if row < self.windows.max_rows else None

    def scores_of(self, row: int) -> DemandScores | None:
        """Return the live scores of the device of ``row``; None if it has no demand."""
        one = self.windows.of(row)
        return None if one is None else self.live.of(row + 1, one.options.window_min)

    def stamp(self, rows: Sequence[int], issued_at_ms: Sequence[int]) -> None:
        """Set the time of issue of the newest demands of ``rows``, those that have one."""
        for row, at_ms in zip(rows, issued_at_ms, strict=True):
            if row < self.windows.max_rows:
                stamp_newest(self.state, row + 1, at_ms)

    @property
    def signature(self) -> str:
        """What must be equal for what was learned to be valid: the outlook's model and its lead times."""
        return f"{self.model.name} {self.model.version} {','.join(map(str, self._leads_min))}"

    def learned(self) -> dict[str, DeviceRows]:
        """Return the state that is valid for one outlook model, by the prefix of its columns."""
        return {"": self.state, "power/": self.power.state, "live/": self.live.state}

    def columns(self, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return a copy of the state of ``rows``, for :meth:`restore_columns`."""
        self.learn()
        return state_columns(self.windows, self.learned(), self.signature, rows)

    def restore_columns(self, buffers: Buffers, columns: Mapping[str, NDArray[Any]]) -> str:
        """Restore the result of :meth:`columns`, whose devices now have the rows of ``buffers``, in their order.

        Return what was left out because values are out of range, empty if nothing was. State of another outlook model
        is left out. Devices without sound stored windows begin with the known minutes of ``buffers``. Raises
        :class:`StateError` if the columns do not fit each other.
        """
        self.windows.set_limits_kw = restored_limits(columns, self.windows, self.highest_kw)
        buffers.begin_billing(self.windows)
        return restore_state(self.windows, self.learned(), self.signature, buffers, columns)

    def adopt(self, before: DemandPart) -> None:
        """Continue with the state of ``before``, as far as it is valid here; ``before`` must not be used afterwards."""
        before.learn()
        self.windows.adopt(before.windows)
        if before.signature == self.signature:
            self.state, self.power.state, self.live = before.state, before.power.state, before.live

    @property
    def n_bytes_per_device(self) -> int:
        """Bytes of state per device with a demand, about."""
        arrays = (array for state in self.learned().values() for array in state.arrays.values())
        return BYTES_PER_DEVICE + sum(int(array[0].nbytes) for array in arrays)

    def forget(self, row: int | None, device: str) -> None:
        """Remove all state of ``device``, which has ``row`` (None: no readings), and the limit that was set for it."""
        self.learn()
        self.windows.set_limit(row, device, None)
        if row is not None:
            self._registers.pop(row, None)
            self.windows.forget(row)
            self.state.forget(row + 1)
            self.power.state.forget(row + 1)
            self.live.forget(row + 1)
