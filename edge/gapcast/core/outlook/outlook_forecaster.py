"""Makes outlooks: runs their model, corrects its predictions, and aligns them with the published forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.arrays.device_rows import ALL, RowIndex, row_index
from gapcast.core.forecasts import power_floor
from gapcast.core.forecasts.forecast import Forecasts
from gapcast.core.forecasts.forecast_range import ForecastRange
from gapcast.core.learning.scores.summary import Period
from gapcast.core.models.predictor import TrunkOutputs
from gapcast.core.outlook.correction import correction_model, correction_shares
from gapcast.core.outlook.correction.forecast_alignment import ForecastAlignment, PublishedValues
from gapcast.core.outlook.correction.online_outlook import OnlineOutlook
from gapcast.core.outlook.options import OutlookConfig
from gapcast.core.outlook.outlook import Outlook, Outlooks
from gapcast.core.outlook.scores import scores
from gapcast.core.outlook.step.compiled_outlooks import CompiledOutlooks
from gapcast.core.outlook.step.model_outlooks import ModelOutlooks
from gapcast.core.outlook.step.numpy_outlooks import NumpyOutlooks
from gapcast.core.outlook.step.outlook_batch import OutlookBatch
from gapcast.core.outlook.step.submetered_means import means_of
from gapcast.core.outlook.stored_state import SIGNATURE, TRACKED, check_columns
from gapcast.core.readings.reading import Limits
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.model_history import history_of
from gapcast.core.streams.week import WeekHistory

#: The planned power of each minute up to the last lead time, kW, for windows with announced loads, by their index.
PlannedMinutes = Mapping[int, F64]


class OutlookForecaster:
    """Makes the outlooks of the devices in the first rows, and stores the newest outlook of each."""

    def __init__(
        self,
        config: OutlookConfig,
        zone: tzinfo,
        limits: Limits,
        published_min: Sequence[int],
        channels: Sequence[str],
    ) -> None:
        """Make outlooks with ``config``; the published forecasts have the lead times ``published_min``.

        Windows have the measured ``channels``. Raises :class:`ValueError` if the model takes other channels, or has no
        bounds.
        """
        self.model, self.options = model, options = config
        self._predictions = ModelOutlooks(model, zone, channels)
        self._range = ForecastRange.from_limits(limits)
        self._leads_min, self._n_channels = model.lead_times_min, len(channels)
        self._published_min = tuple(published_min)
        self._alignment = ForecastAlignment(self._leads_min, published_min, self._range)
        self.online = OnlineOutlook(self._leads_min, options, zone, limits.min_kw)
        parts = self._predictions, self._alignment, self.online
        #: The compiled step; None if numpy is used.
        self.compiled_step = CompiledOutlooks.create_if_available(*parts, self.context)
        self._step = self.compiled_step or NumpyOutlooks(*parts)

    @property
    def context(self) -> int:
        """Minutes that a window must have."""
        return max(self.model.spec.context, 2 * self._leads_min[-1])

    def make(
        self,
        accepted: AcceptedBatch,
        windows: F32,
        forecasts: Forecasts,
        planned_kw: PlannedMinutes,
        week: WeekHistory | None,
        trunk: TrunkOutputs | None = None,
    ) -> Outlooks | None:
        """Return the outlooks of the tracked devices of ``accepted``, with its ``forecasts``; None without any.

        ``windows`` is ``[N, context, C]``: the channels, kW and so on, then submeters. ``week`` has the quarter-hours
        of the devices, ``trunk`` the trunk outputs of the forecasts' model; None: the outlook model computes them.
        """
        n_tracked = self.options.max_devices
        tracked: Sequence[int] = range(len(accepted.rows))
        at: RowIndex = ALL
        if max(accepted.rows) >= n_tracked:
            tracked = [i for i, row in enumerate(accepted.rows) if row < n_tracked]
            at = row_index(np.array(tracked, dtype=np.int64))
        if not tracked:
            return None
        published = self._alignment.published(forecasts, at)
        added_kw = self._added(tracked, planned_kw)
        uncontrolled = published if added_kw is None else self._alignment.without(published, added_kw)
        if trunk is not None and at is not ALL:
            trunk = trunk.select(at)
        batch = self._batch_of(accepted, windows[at], at, uncontrolled, week, forecasts.issued_at_ms, trunk)
        made = self._step.make(batch)
        kw, loads_kw = made.kw, windows[at, -1, self._n_channels :]
        if added_kw is not None:
            kw = np.minimum(np.maximum(kw + added_kw[..., np.newaxis], self._range.low_kw), self._range.high_kw)
            self._alignment.restore_published(kw, published)
            self.online.store_newest(batch.rows, batch.minutes, batch.issued_at_ms, kw)
        return Outlooks(
            self.model,
            forecasts.issued_at_ms,
            accepted.devices if at is ALL else [accepted.devices[i] for i in tracked],
            accepted.minutes if at is ALL else batch.minutes.tolist(),
            kw[:, :, 0],
            kw[:, :, 1],
            means_of(made, loads_kw, int(self._predictions.levels[1])),
        )

    def _added(self, tracked: Sequence[int], planned_kw: PlannedMinutes) -> F64 | None:
        """Return the planned power ``[N, K, 2]``, kW, of the windows ``tracked``; None without planned power.

        The last axis holds the power of the minute at the lead time, and the mean of all minutes until then.
        """
        if planned_kw.keys().isdisjoint(tracked):
            return None
        leads = np.asarray(self._leads_min)
        added_kw = np.zeros((len(tracked), len(leads), 2))
        for i, window in enumerate(tracked):
            if window in planned_kw:
                minutes_kw = planned_kw[window]
                added_kw[i, :, 0] = minutes_kw[leads - 1]
                added_kw[i, :, 1] = np.cumsum(minutes_kw)[leads - 1] / leads
        return added_kw

    def has_any(self, rows: Sequence[int]) -> bool:
        """Return whether any device of ``rows``, at least one row, has an outlook."""
        return min(rows) < self.options.max_devices

    def _batch_of(  # noqa: PLR0913, PLR0917 - the inputs of a batch
        self,
        accepted: AcceptedBatch,
        windows: F32,
        at: RowIndex,
        published: PublishedValues,
        week: WeekHistory | None,
        issued_at_ms: int,
        trunk: TrunkOutputs | None,
    ) -> OutlookBatch:
        """Run the model for ``windows``, ``at`` this index of the batch; return the inputs of the outlooks."""
        minutes, rows = (np.array(column, dtype=np.int64)[at] for column in (accepted.minutes, accepted.rows))
        is_filled = np.zeros(len(accepted.devices), dtype=np.bool_)
        if accepted.filled:
            is_filled[accepted.filled] = True
        powers_kw = windows[:, :, 0]
        of_rows, of_minutes = (accepted.rows, accepted.minutes) if at is ALL else (rows.tolist(), minutes.tolist())
        history = history_of(self.model, week, of_rows, of_minutes, powers_kw)
        prediction = self._predictions.predict(windows, minutes, history, trunk)
        return OutlookBatch(rows + 1, minutes, powers_kw, ~is_filled[at], history, prediction, published, issued_at_ms)

    def learn(self) -> None:
        """Learn from the outcomes in the readings of the last outlooks."""
        self._step.learn()

    def newest(self, row: int, device: str) -> Outlook | None:
        """Return the newest outlook of ``device`` in ``row``; None without one."""
        found = self.online.newest(row + 1) if row < self.options.max_devices else None
        if found is None:
            return None
        kw, minute, issued_at_ms = found
        return Outlook(
            device, minute, issued_at_ms, self.model.name, self.model.version, self._leads_min, kw[:, 0], kw[:, 1]
        )

    def has_newest(self, row: int) -> bool:
        """Return whether the device of ``row`` has an outlook."""
        return row < self.options.max_devices and self.online.has_newest(row + 1)

    def scores_of(self, row: int) -> dict[Period, scores.OutlookScores]:
        """Return the live scores of the device in ``row`` by period; empty if it has no outlook."""
        if row >= self.options.max_devices:
            return {}
        return scores.scores_of(self.online.sums(row + 1), self._leads_min)

    def overall_scores(self, others: Sequence[OutlookForecaster] = ()) -> dict[Period, scores.OutlookScores]:
        """Return the live scores over all devices, including the devices of ``others``, which have the same model."""
        sums = [one.online.state.arrays["sums"].sum(axis=0) for one in (self, *others)]
        return scores.scores_of(np.add.reduce(sums), self._leads_min)

    @property
    def n_bytes_per_device(self) -> int:
        """Bytes of state per device with an outlook."""
        return sum(array[0].nbytes for array in self.online.state.arrays.values())

    def forget(self, row: int) -> None:
        """Remove all state of the device in ``row``."""
        self.learn()
        self.online.state.forget(row + 1)

    def stamp(self, rows: Sequence[int], issued_at_ms: Sequence[int]) -> None:
        """Set the time of issue of the newest outlooks of ``rows``; rows without an outlook are skipped."""
        for row, at_ms in zip(rows, issued_at_ms, strict=True):
            if row < self.options.max_devices:
                self.online.stamp(row + 1, at_ms)

    @property
    def signature(self) -> str:
        """The key of the learned state's validity: the model, and the lead times of both kinds."""
        leads_min, published_min = (",".join(map(str, leads)) for leads in (self._leads_min, self._published_min))
        return f"{self.model.name} {self.model.version} {leads_min} with {published_min}"

    def columns(self, rows: Sequence[int], *, copies: bool = True) -> dict[str, NDArray[Any]]:
        """Return a copy of the state of ``rows``, for :meth:`restore_columns`.

        Unless ``copies``, columns may be views of the state, and change with it.
        """
        self.learn()
        of_rows = np.asarray(rows, dtype=np.int64)
        tracked = np.flatnonzero(of_rows < self.options.max_devices)
        columns = self.online.state.columns(of_rows[tracked] + 1, copies=copies)
        return {SIGNATURE: np.array([self.signature]), TRACKED: tracked, **columns}

    def restore_columns(self, n_devices: int, columns: dict[str, NDArray[Any]]) -> None:
        """Restore the result of :meth:`columns` for the devices of the rows below ``n_devices``, and empty ``columns``.

        State of another model or other lead times is discarded. Raises :class:`StateError` if the columns do not fit.
        """
        if SIGNATURE not in columns or columns[SIGNATURE].tolist() != [self.signature]:
            return
        stored = power_floor.with_lowest_powers(columns, np.size(columns.get(TRACKED, ())))
        stored = correction_shares.with_all_choices(self.online.pending.in_places(stored))
        tracked = check_columns(stored, self.online.state)
        at = ALL if (which := tracked < min(n_devices, self.options.max_devices)).all() else which
        found = {name: stored[name] for name in self.online.state.arrays}
        del stored
        columns.clear()  # each array is released as soon as it is restored: they have megabytes
        found["covariance"] = correction_model.symmetric(found["covariance"])
        self.online.state.restore_columns(tracked[at] + 1, found, at)

    def adopt(self, before: OutlookForecaster) -> None:
        """Continue with the learned state of ``before`` if it is valid here; ``before`` must not be used afterwards."""
        before.learn()
        if before.signature == self.signature:
            self.online.state = before.online.state

    def discard_pending(self, row: int) -> None:
        """Discard the pending outlooks of the device in ``row``: nothing is learned from their outcomes."""
        self.learn()
        if row < self.options.max_devices:
            self.online.discard_pending(np.array([row + 1]))
