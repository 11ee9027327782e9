"""Scores: how far forecasts were from what came, beside persistence on the same minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ScoreAccumulator:
    """Errors summed over forecasts whose minute has come, with those of "same as now" beside them.

    >>> score = ScoreAccumulator()
    >>> score.add(actual_kw=2.0, forecast_kw=1.5, last_kw=1.0)
    >>> score.mse_kw2, score.persistence_mse_kw2, score.skill
    (0.25, 1.0, 0.75)
    """

    n: int = 0
    _squared: float = 0.0
    _absolute: float = 0.0
    _persistence_squared: float = 0.0
    _persistence_absolute: float = 0.0

    def add(self, actual_kw: float, forecast_kw: float, last_kw: float, median_kw: float | None = None) -> None:
        """Score a forecast made when the reading was ``last_kw`` against what ``actual_kw``.

        The squared error is of the mean, ``forecast_kw``; the absolute one of the median where there is one.
        """
        error, persistence_error = forecast_kw - actual_kw, last_kw - actual_kw
        self.n += 1
        self._squared += error * error
        self._absolute += abs(error if median_kw is None else median_kw - actual_kw)
        self._persistence_squared += persistence_error * persistence_error
        self._persistence_absolute += abs(persistence_error)

    @property
    def mse_kw2(self) -> float:
        """Mean squared error, kW^2; NaN without scores."""
        return self._mean(self._squared)

    @property
    def mae_kw(self) -> float:
        """Mean absolute error, kW; NaN without scores."""
        return self._mean(self._absolute)

    @property
    def persistence_mse_kw2(self) -> float:
        """Persistence's mean squared error, kW^2."""
        return self._mean(self._persistence_squared)

    @property
    def persistence_mae_kw(self) -> float:
        """Persistence's mean absolute error, kW."""
        return self._mean(self._persistence_absolute)

    @property
    def skill(self) -> float:
        """1 - MSE / MSE of persistence; NaN where persistence made no error at all."""
        return 1 - self._squared / self._persistence_squared if self._persistence_squared else float("nan")

    def _mean(self, total: float) -> float:
        return total / self.n if self.n else float("nan")
