"""The newest forecast of every device, in columns: 36 bytes a device, and 4 more for each further lead time.

Where experts are blended, 8 more for each of them.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gapcast.core.forecast import DECIMALS, Forecast, Forecasts, Shares
from gapcast.core.forecast_range import WIDEST, ForecastRange
from gapcast.core.grid import EARLIEST_MS, LATEST_MS, MINUTE_MS
from gapcast.core.predictor import ModelIdentity
from gapcast.core.window import F32, I64

_NO_FORECAST = 0  # no reading is of the first minute of 1970
_FIRST_ROWS = 16
_N_QUANTILES = 3
_WIDEST_RANGE = ForecastRange.of(WIDEST)
_FIRST_MINUTE, _LAST_MINUTE = EARLIEST_MS // MINUTE_MS, LATEST_MS // MINUTE_MS
#: Part of the range by which a float32 may lie beyond it.
_ROUNDING = 1e-6
I32 = NDArray[np.int32]
Number = TypeVar("Number", bound=np.generic)


class Latest:
    """Keeps, for each row of :class:`gapcast.core.buffer.Buffers`, what was last forecast."""

    def __init__(self, n_leads: int = 1, experts: tuple[str, ...] = (), within: ForecastRange = _WIDEST_RANGE) -> None:
        """Keep forecasts for ``n_leads`` lead times each, and the weights of ``experts`` in them.

        What is not ``within`` the range of forecasts, as after damage, is not read.
        """
        self._experts = experts
        self._within = within
        #: Goes up before and after each change that takes several steps: odd while one is under way, or has failed.
        self.n_steps = 0
        # Median, lower, upper, then the means: a model's own float32, which rounds to what was told of it.
        self._kw = np.zeros((_FIRST_ROWS, _N_QUANTILES + n_leads), dtype=np.float32)
        self._when = np.zeros((_FIRST_ROWS, 2), dtype=np.int64)  # observed minute, issued at (ms)
        self._n_observed = np.zeros(_FIRST_ROWS, dtype=np.int32)
        self._shares = np.zeros((_FIRST_ROWS, 2 * len(experts)), dtype=np.float32)

    def keep(self, rows: list[int], forecasts: Forecasts) -> None:
        """Keep ``forecasts``, at least one, the i-th for ``rows[i]``; of several for one row the last counts."""
        self.n_steps |= 1
        self._grow(max(rows) + 1)
        at = np.asarray(rows)
        for column, values in enumerate((forecasts.median_kw, forecasts.lower_kw, forecasts.upper_kw)):
            self._kw[at, column] = np.nan if values is None else values
        if forecasts.path_kw is None:
            self._kw[at, _N_QUANTILES] = forecasts.gap_kw
        else:
            self._kw[at, _N_QUANTILES:] = forecasts.path_kw
        self._when[at, 0] = forecasts.observed_minutes
        self._when[at, 1] = forecasts.issued_at_ms
        self._n_observed[at] = forecasts.n_observed
        if forecasts.shares is not None:
            self._shares[at] = forecasts.shares.weights
        self.n_steps += 1

    def forget(self, row: int) -> None:
        """Hold no forecast for ``row``."""
        if row < len(self._when):
            self._when[row, 0] = _NO_FORECAST

    def read(self, row: int, device: str, model: ModelIdentity) -> Forecast | None:
        """Return what was last forecast for ``row``, which is ``device``'s, by ``model``; None where nothing was.

        Nor is anything returned that cannot be a forecast.
        """
        if row >= len(self._when) or self._when[row, 0] == _NO_FORECAST or not self._is_possible(row):
            return None
        published_kw = self._kw[row].astype(np.float64).round(DECIMALS).tolist()
        median, lower, upper = (None if math.isnan(kw) else kw for kw in published_kw[:_N_QUANTILES])
        path_kw = tuple(published_kw[_N_QUANTILES:])
        experts, median_experts = None, None
        if self._experts:
            experts, median_experts = Shares(self._experts, self._shares[row : row + 1].tolist()).of(0)
        return Forecast(
            device=device,
            observed_minute=int(self._when[row, 0]),
            horizon_min=model.lead_times_min[-1],
            gap_kw=path_kw[-1],
            median_kw=median,
            lower_kw=lower,
            upper_kw=upper,
            model=model.name,
            model_version=model.version,
            n_observed=int(self._n_observed[row]),
            context=model.spec.context,
            issued_at_ms=int(self._when[row, 1]),
            path_kw=path_kw if len(path_kw) > 1 else None,
            experts=experts,
            median_experts=median_experts,
        )

    def rows(self, devices: list[str]) -> list[int]:
        """Return the rows of ``devices`` that have a forecast; the i-th device has row ``i``."""
        n_rows = min(len(devices), len(self._when))
        held = np.flatnonzero(self._when[:n_rows, 0] != _NO_FORECAST)
        return [row for row in held.tolist() if devices[row]]

    def _is_possible(self, row: int) -> bool:
        """Tell whether what stands in ``row`` could have been forecast, but for rounding."""
        if not _FIRST_MINUTE <= self._when[row, 0] < _LAST_MINUTE or not 0 <= self._when[row, 1] < LATEST_MS:
            return False
        within, (median_kw, lower_kw, upper_kw, *path_kw) = self._within, self._kw[row].tolist()
        slack_kw = _ROUNDING * (within.high_kw - within.low_kw)
        low_kw, high_kw = within.low_kw - slack_kw, within.high_kw + slack_kw
        ordered = [kw for kw in (lower_kw, median_kw, upper_kw) if not math.isnan(kw)]
        shares = self._shares[row]
        return (
            all(low_kw <= kw <= high_kw for kw in ordered + path_kw)
            and ordered == sorted(ordered)
            and bool(((shares >= 0) & (shares <= 1 + _ROUNDING)).all())
        )

    def read_all(self, devices: list[str], model: ModelIdentity) -> list[Forecast]:
        """Return what was last forecast for each of ``devices``, the i-th of which has row ``i``, by ``model``."""
        found = (self.read(row, device, model) for row, device in enumerate(devices))
        return [forecast for forecast in found if forecast is not None]

    def stamp(self, rows: list[int], issued_at_ms: list[int]) -> None:
        """Let what is kept for ``rows[i]`` have been issued at ``issued_at_ms[i]``."""
        self._when[rows, 1] = issued_at_ms

    def columns(self, rows: list[int]) -> tuple[F32, I64, I32, F32]:
        """Return a copy of N ``rows``: powers ``[N, 3 + leads]``, times ``[N, 2]``, ``n_observed`` ``[N]``, weights."""
        self._grow(max(rows, default=-1) + 1)
        return self._kw[rows], self._when[rows], self._n_observed[rows], self._shares[rows]

    def restore_columns(self, kw: F32, when: I64, n_observed: I32, shares: F32) -> None:
        """Keep what :meth:`columns` gave, from the first row on.

        Raises :class:`ValueError` where it is of another number of lead times, or of experts.
        """
        n_rows = len(when)
        self._grow(n_rows)
        self._kw[:n_rows], self._when[:n_rows], self._n_observed[:n_rows] = kw, when, n_observed
        self._shares[:n_rows] = shares

    def _grow(self, n_rows: int) -> None:
        while n_rows > len(self._when):
            self._kw, self._when, self._n_observed = _grown(self._kw), _grown(self._when), _grown(self._n_observed)
            self._shares = _grown(self._shares)

    def copy(self) -> Latest:
        """Return a copy that later forecasts do not change."""
        made = Latest(experts=self._experts, within=self._within)
        made._kw, made._when, made._n_observed = self._kw.copy(), self._when.copy(), self._n_observed.copy()
        made._shares = self._shares.copy()
        return made


def _grown(rows: NDArray[Number]) -> NDArray[Number]:
    """Return a copy of ``rows`` with as many again, of zeros, which take no memory until they are written to."""
    twice = np.zeros((2 * len(rows), *rows.shape[1:]), dtype=rows.dtype)
    twice[: len(rows)] = rows
    return twice
