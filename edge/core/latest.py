"""The newest forecast of every device, in columns: 40 bytes a device."""

from __future__ import annotations

import numpy as np

from edge.core.forecast import Forecast, Forecasts
from edge.core.predictor import Predictor

_NO_FORECAST = -1
_FIRST_ROWS = 16


class Latest:
    """Keeps, for each row of :class:`edge.core.buffer.Buffers`, what was last forecast."""

    def __init__(self) -> None:
        self._kw = np.full((_FIRST_ROWS, 4), np.nan)  # mean, median, lower, upper
        self._when = np.full((_FIRST_ROWS, 2), _NO_FORECAST, dtype=np.int64)  # observed minute, issued at (ms)
        self._n_observed = np.zeros(_FIRST_ROWS, dtype=np.int32)

    def keep(self, rows: list[int], forecasts: Forecasts) -> None:
        """Keep ``forecasts``, the i-th for ``rows[i]``; of several for one row the last counts."""
        if not rows:
            return
        while max(rows) >= len(self._when):
            self._grow()
        at = np.asarray(rows)
        for column, values in enumerate(
            (forecasts.gap_kw, forecasts.median_kw, forecasts.lower_kw, forecasts.upper_kw)
        ):
            self._kw[at, column] = np.nan if values is None else values
        self._when[at, 0] = forecasts.observed_minutes
        self._when[at, 1] = forecasts.issued_at_ms
        self._n_observed[at] = forecasts.n_observed

    def read(self, row: int, device: str, model: Predictor) -> Forecast | None:
        """Return what was last forecast for ``row``, which is ``device``'s, by ``model``."""
        if row >= len(self._when) or self._when[row, 0] == _NO_FORECAST:
            return None
        median, lower, upper = (None if np.isnan(kw) else float(kw) for kw in self._kw[row, 1:])
        return Forecast(
            device=device,
            observed_minute=int(self._when[row, 0]),
            horizon_min=model.lead_times_min[-1],
            gap_kw=float(self._kw[row, 0]),
            median_kw=median,
            lower_kw=lower,
            upper_kw=upper,
            model=model.name,
            model_version=model.version,
            n_observed=int(self._n_observed[row]),
            context=model.spec.context,
            issued_at_ms=int(self._when[row, 1]),
        )

    def read_all(self, devices: list[str], model: Predictor) -> list[Forecast]:
        """Return what was last forecast for each of ``devices``, the i-th of which has row ``i``, by ``model``."""
        found = (self.read(row, device, model) for row, device in enumerate(devices))
        return [forecast for forecast in found if forecast is not None]

    def copy(self) -> Latest:
        """Return a copy that later forecasts do not change."""
        made = Latest()
        made._kw, made._when, made._n_observed = self._kw.copy(), self._when.copy(), self._n_observed.copy()
        return made

    def _grow(self) -> None:
        rows = len(self._when)
        self._kw = np.concatenate((self._kw, np.full((rows, 4), np.nan)))
        self._when = np.concatenate((self._when, np.full((rows, 2), _NO_FORECAST, dtype=np.int64)))
        self._n_observed = np.concatenate((self._n_observed, np.zeros(rows, dtype=np.int32)))
