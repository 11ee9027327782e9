"""The newest forecast of every device, in columns.

36 bytes per device, 4 more for each further lead time, and 8 more for each ensemble member.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.arrays.resized_arrays import doubled
from gapcast.core.forecasts.forecast import DECIMALS, EnsembleWeights, Forecast, Forecasts
from gapcast.core.forecasts.forecast_range import WIDEST, ForecastRange
from gapcast.core.models.predictor import ModelIdentity
from gapcast.core.readings.state_limits import FIRST_MINUTE, LAST_MINUTE
from gapcast.core.time_grid import LATEST_MS

_NO_FORECAST = 0  # no reading is of the first minute of 1970
_FIRST_ROWS = 16
_N_QUANTILES = 3
_WIDEST_RANGE = ForecastRange.from_limits(WIDEST)
#: Part of the range by which a float32 may exceed the range.
_ROUNDING = 1e-6
I32 = NDArray[np.int32]


class NewestForecastColumns:
    """The newest forecast of each row of :class:`gapcast.core.streams.buffer.Buffers`."""

    def __init__(
        self, n_leads: int = 1, members: tuple[str, ...] = (), forecast_range: ForecastRange = _WIDEST_RANGE
    ) -> None:
        """Store forecasts for ``n_leads`` lead times, and the weights of the ensemble ``members``.

        Stored forecasts outside ``forecast_range``, as after damage, are not returned.
        """
        self._members = members
        self._forecast_range = forecast_range
        slack_kw = _ROUNDING * (forecast_range.high_kw - forecast_range.low_kw)
        self._low_kw, self._high_kw = forecast_range.low_kw - slack_kw, forecast_range.high_kw + slack_kw
        #: Incremented before and after each change of several arrays: odd during a change, or after one that failed.
        self.n_steps = 0
        # Median, lower, upper, then the means, as float32: rounded, they are the published values.
        self._kw = np.zeros((_FIRST_ROWS, _N_QUANTILES + n_leads), dtype=np.float32)
        self._when = np.zeros((_FIRST_ROWS, 2), dtype=np.int64)  # observed minute, issued at (ms)
        self._n_observed = np.zeros(_FIRST_ROWS, dtype=np.int32)
        self._shares = np.zeros((_FIRST_ROWS, 2 * len(members)), dtype=np.float32)
        #: For rows whose forecast contains planned power: the mean without it, and the planned power, kW.
        self.planned: dict[int, tuple[float, float]] = {}

    def store_forecasts(self, rows: list[int], forecasts: Forecasts) -> None:
        """Store ``forecasts``, at least one, the i-th in row ``rows[i]``; the last forecast of a row counts."""
        self.n_steps |= 1
        self._grow(max(rows) + 1)
        numbers = None if forecasts.path_kw is None else forecasts.numbers
        if numbers is not None and len(rows) == 1:
            self._store_one(rows[0], forecasts, numbers[0])
        else:
            self._store_many(np.asarray(rows), forecasts, numbers)
        if self.planned or forecasts.planned_kw is not None:
            self._store_planned(rows, forecasts)
        self.n_steps += 1

    def _store_one(self, row: int, forecasts: Forecasts, numbers: F64) -> None:
        """Store the single forecast of ``forecasts``; ``numbers`` end with a path, and the path ends with the mean."""
        n_powers = 1 + self._kw.shape[1]
        self._kw[row], self._shares[row] = numbers[1:n_powers], numbers[n_powers:]
        self._when[row] = forecasts.observed_minutes[0], forecasts.issued_at_ms
        self._n_observed[row] = forecasts.n_observed[0]

    def _store_many(self, at: I64, forecasts: Forecasts, numbers: F64 | None) -> None:
        if numbers is None:
            self._store_columns(at, forecasts)
        else:
            n_powers = 1 + self._kw.shape[1]
            self._kw[at], self._shares[at] = numbers[:, 1:n_powers], numbers[:, n_powers:]
        self._when[at, 0], self._when[at, 1] = forecasts.observed_minutes, forecasts.issued_at_ms
        self._n_observed[at] = forecasts.n_observed

    def _store_columns(self, at: I64, forecasts: Forecasts) -> None:
        for column, values in enumerate((forecasts.median_kw, forecasts.lower_kw, forecasts.upper_kw)):
            self._kw[at, column] = np.nan if values is None else values
        if forecasts.path_kw is None:
            self._kw[at, _N_QUANTILES] = forecasts.gap_kw
        else:
            self._kw[at, _N_QUANTILES:] = forecasts.path_kw
        if forecasts.shares is not None:
            self._shares[at] = forecasts.shares.weights

    def _store_planned(self, rows: list[int], forecasts: Forecasts) -> None:
        nothing: list[float | None] = [None] * len(rows)
        uncontrolled_kw, planned_kw = forecasts.uncontrolled_kw or nothing, forecasts.planned_kw or nothing
        for row, uncontrolled, planned in zip(rows, uncontrolled_kw, planned_kw, strict=True):
            if uncontrolled is None or planned is None:
                self.planned.pop(row, None)
            else:
                self.planned[row] = uncontrolled, planned

    def forget(self, row: int) -> None:
        """Discard the forecast of ``row``."""
        self.n_steps |= 1
        self.planned.pop(row, None)
        if row < len(self._when):
            self._when[row, 0] = _NO_FORECAST
        self.n_steps += 1

    def read(self, row: int, device: str, model: ModelIdentity) -> Forecast | None:
        """Return the newest forecast, by ``model``, of ``device`` in ``row``.

        None if there is none, or if the stored values are outside their possible ranges.
        """
        if row >= len(self._when):
            return None
        observed_minute, issued_at_ms = self._when[row].tolist()
        if observed_minute == _NO_FORECAST:
            return None
        stored_kw, shares = self._kw[row], self._shares[row].tolist()
        if not self._is_possible(observed_minute, issued_at_ms, stored_kw.tolist(), shares):
            return None
        published_kw = stored_kw.astype(np.float64).round(DECIMALS).tolist()
        median, lower, upper = (None if math.isnan(kw) else kw for kw in published_kw[:_N_QUANTILES])
        path_kw = tuple(published_kw[_N_QUANTILES:])
        weights = EnsembleWeights(self._members, self._shares[row : row + 1])
        experts, median_experts = weights.by_member(0) if self._members else (None, None)
        uncontrolled_kw, planned_kw = self.planned.get(row, (None, None))
        return Forecast(
            device=device,
            observed_minute=observed_minute,
            horizon_min=model.lead_times_min[-1],
            gap_kw=path_kw[-1],
            median_kw=median,
            lower_kw=lower,
            upper_kw=upper,
            model=model.name,
            model_version=model.version,
            n_observed=int(self._n_observed[row]),
            context=model.spec.context,
            issued_at_ms=issued_at_ms,
            path_kw=path_kw if len(path_kw) > 1 else None,
            experts=experts,
            median_experts=median_experts,
            uncontrolled_kw=uncontrolled_kw,
            planned_kw=planned_kw,
        )

    def rows(self, devices: list[str]) -> list[int]:
        """Return the rows of ``devices``, which are ordered by row, that have a forecast."""
        n_rows = min(len(devices), len(self._when))
        held = np.flatnonzero(self._when[:n_rows, 0] != _NO_FORECAST)
        return [row for row in held.tolist() if devices[row]]

    def _is_possible(self, minute: int, issued_at_ms: int, stored_kw: list[float], shares: list[float]) -> bool:
        """Return whether the stored values are possible in a forecast, apart from rounding."""
        if not FIRST_MINUTE <= minute < LAST_MINUTE or not 0 <= issued_at_ms < LATEST_MS:
            return False
        low_kw, high_kw = self._low_kw, self._high_kw
        median_kw, lower_kw, upper_kw, *path_kw = stored_kw
        if not all([low_kw <= kw <= high_kw for kw in path_kw]):  # a list is faster than a generator; false for NaN
            return False
        ordered = [kw for kw in (lower_kw, median_kw, upper_kw) if not math.isnan(kw)]
        if ordered and not (low_kw <= ordered[0] and ordered[-1] <= high_kw and ordered == sorted(ordered)):
            return False
        return all([0 <= share <= 1 + _ROUNDING for share in shares])

    def stamp(self, rows: list[int], issued_at_ms: list[int]) -> None:
        """Set the time of issue of the forecast of ``rows[i]`` to ``issued_at_ms[i]``."""
        self._when[rows, 1] = issued_at_ms

    def columns(self, rows: list[int]) -> tuple[F32, I64, I32, F32]:
        """Return a copy of N ``rows``: powers ``[N, 3 + leads]``, times ``[N, 2]``, ``n_observed`` ``[N]``, weights."""
        self._grow(max(rows, default=-1) + 1)
        return self._kw[rows], self._when[rows], self._n_observed[rows], self._shares[rows]

    def restore_columns(self, kw: F32, when: I64, n_observed: I32, shares: F32) -> None:
        """Restore the result of :meth:`columns`, from the first row on.

        Raises :class:`ValueError` if the number of lead times or of ensemble members differs.
        """
        n_rows = len(when)
        self._grow(n_rows)
        self._kw[:n_rows], self._when[:n_rows], self._n_observed[:n_rows] = kw, when, n_observed
        self._shares[:n_rows] = shares

    def adopt(self, before: NewestForecastColumns) -> None:
        """Take the forecasts of the ensemble of ``before``, for the same lead times, if it has no member that is gone.

        New members have a weight of 0 in them.
        """
        if not before._members or not set(before._members) <= set(self._members):
            return
        n_rows, n_before, n = len(before._when), len(before._members), len(self._members)
        shares = np.zeros((n_rows, 2 * n), dtype=np.float32)
        for i, member in enumerate(before._members):
            at = self._members.index(member)
            shares[:, [at, n + at]] = before._shares[:, [i, n_before + i]]
        self.restore_columns(before._kw, before._when, before._n_observed, shares)
        self.planned = before.planned

    def _grow(self, n_rows: int) -> None:
        while n_rows > len(self._when):
            self._kw, self._when, self._n_observed = doubled(self._kw), doubled(self._when), doubled(self._n_observed)
            self._shares = doubled(self._shares)

    def copy(self) -> NewestForecastColumns:
        """Return a copy."""
        made = NewestForecastColumns(members=self._members, forecast_range=self._forecast_range)
        made._kw, made._when, made._n_observed = self._kw.copy(), self._when.copy(), self._n_observed.copy()
        made._shares, made.planned = self._shares.copy(), dict(self.planned)
        return made
