"""The engine's part that makes outlooks: runs their model, and publishes consistent values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np

from gapcast.core.accepted_batch import AcceptedBatch
from gapcast.core.errors import ModelError
from gapcast.core.features import assemble, measured_in
from gapcast.core.forecast import LOWER as LOWER_LEVEL
from gapcast.core.forecast import MEDIAN as MEDIAN_LEVEL
from gapcast.core.forecast import UPPER as UPPER_LEVEL
from gapcast.core.forecast import Forecasts
from gapcast.core.forecast_range import ForecastRange
from gapcast.core.learning.summary import Period
from gapcast.core.outlook import scores
from gapcast.core.outlook.consistency import Consistency
from gapcast.core.outlook.options import OutlookOptions
from gapcast.core.outlook.outlook import F64, LOWER, MEAN, MEDIAN, UPPER, Outlook, Outlooks
from gapcast.core.predictor import Prediction, Predictor, run_model
from gapcast.core.window import F32, I64


class OutlookPart:
    """Makes the outlooks of the devices in the first rows, and stores the newest of each."""

    def __init__(
        self,
        model: Predictor,
        options: OutlookOptions,
        zone: tzinfo,
        forecast_range: ForecastRange,
        published_min: Sequence[int],
        channels: Sequence[str],
    ) -> None:
        """Forecast with ``model``; the published forecasts have the lead times ``published_min``.

        Windows have the measured ``channels``. Raises :class:`ValueError` if the model takes others.
        """
        measured = measured_in(model.features)
        if measured != tuple(channels[: len(measured)]):
            msg = (
                f"the outlook's model {model.name} takes {', '.join(measured)}, and readings have {', '.join(channels)}"
            )
            raise ValueError(msg)
        self.model = model
        self.options = options
        self._zone = zone
        self._forecast_range = forecast_range
        self._n_measured = len(measured)
        leads_min = model.lead_times_min
        self._consistency = Consistency(leads_min, published_min)
        self._published_at = [list(published_min).index(leads_min[i]) for i in self._consistency.fixed.tolist()]
        #: Index of the published forecast's horizon among the lead times; None if it is not one of them.
        self._horizon = leads_min.index(published_min[-1]) if published_min[-1] in leads_min else None
        self._levels = [
            tuple(model.quantile_levels or ()).index(one) for one in (LOWER_LEVEL, MEDIAN_LEVEL, UPPER_LEVEL)
        ]
        self._newest: dict[int, Outlook] = {}

    def make(self, accepted: AcceptedBatch, windows: F32, forecasts: Forecasts) -> Outlooks | None:
        """Return the outlooks of the tracked devices of ``accepted``, with its ``forecasts``; None if there are none.

        ``windows`` is ``[N, context, channels]``, kW and so on.
        """
        rows = np.asarray(accepted.rows, dtype=np.int64)
        which = np.flatnonzero(rows < self.options.max_devices)
        if not which.size:
            return None
        rows, minutes = rows[which], np.asarray(accepted.minutes, dtype=np.int64)[which]
        prediction = self._predict(windows[which], minutes)
        point_kw, mean_kw = (
            self._columns(prediction.mean, prediction.quantiles),
            self._columns(prediction.mean_to, prediction.quantiles_to),
        )
        last_kw = windows[which, -1, 0].astype(np.float64)
        floor_kw = np.where(last_kw < 0, self._forecast_range.low_kw, 0.0)
        self._agree(point_kw, mean_kw, forecasts, which, floor_kw)
        outlooks = Outlooks(
            self.model,
            forecasts.issued_at_ms,
            [accepted.devices[i] for i in which.tolist()],
            minutes.tolist(),
            point_kw,
            mean_kw,
        )
        for i, row in enumerate(rows.tolist()):
            self._newest[row] = outlooks[i]
        return outlooks

    def _predict(self, windows: F32, minutes: I64) -> Prediction:
        context = self.model.spec.context
        measured = windows[:, -context:, : self._n_measured]
        return run_model(self.model, assemble(measured, minutes, self.model.features, self._zone), None)

    def _columns(self, mean: F32 | None, quantiles: F32 | None) -> F64:
        if mean is None or quantiles is None:
            msg = f"model {self.model.name} has no means and quantiles of both kinds"
            raise ModelError(msg)
        kw = np.empty((*mean.shape, 4))
        kw[:, :, MEAN] = mean
        kw[:, :, [LOWER, MEDIAN, UPPER]] = np.sort(quantiles, axis=-1)[:, :, self._levels]
        return kw

    def _agree(self, point_kw: F64, mean_kw: F64, forecasts: Forecasts, which: I64, floor_kw: F64) -> None:
        path_kw = forecasts.path_kw if forecasts.path_kw is not None else [[kw] for kw in forecasts.gap_kw]
        published_kw = np.array([path_kw[i] for i in which.tolist()])[:, self._published_at]
        self._consistency.reconcile(
            point_kw[:, :, MEAN], mean_kw[:, :, MEAN], published_kw, floor_kw, self._forecast_range.high_kw
        )
        for kw in (point_kw, mean_kw):
            kw[:, :, LOWER] = np.maximum(kw[:, :, LOWER], floor_kw[:, np.newaxis])
            kw[:, :, MEDIAN] = np.maximum(kw[:, :, MEDIAN], kw[:, :, LOWER])
            kw[:, :, UPPER] = np.maximum(kw[:, :, UPPER], kw[:, :, MEDIAN])
        if self._horizon is not None:
            for column, values in (
                (MEDIAN, forecasts.median_kw),
                (LOWER, forecasts.lower_kw),
                (UPPER, forecasts.upper_kw),
            ):
                if values is not None:
                    point_kw[:, self._horizon, column] = np.asarray(values)[which]
        if self.model.lead_times_min[0] == 1:
            mean_kw[:, 0] = point_kw[:, 0]

    def has(self, row: int) -> bool:
        """Return whether the device of ``row`` has an outlook."""
        return row < self.options.max_devices

    def newest(self, row: int) -> Outlook | None:
        """Return the newest outlook of the device of ``row``; None without one."""
        return self._newest.get(row)

    def scores_of(self, row: int) -> dict[Period, scores.OutlookScores]:
        """Return the live scores of the device of ``row``."""
        leads_min = self.model.lead_times_min
        return scores.scores_of(scores.initial_sums(len(leads_min)), leads_min)

    def forget(self, row: int) -> None:
        """Remove all state of the device of ``row``."""
        self._newest.pop(row, None)
