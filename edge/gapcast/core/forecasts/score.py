"""Forecast errors, compared with persistence on the same minutes."""

from __future__ import annotations

from dataclasses import dataclass

from gapcast.core.documents.figures import skill_or_nan


@dataclass(slots=True)
class ScoreAccumulator:
    """Sums the errors of forecasts with a known outcome, and the errors of persistence.

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
        """Score a forecast made when the last reading was ``last_kw`` against the outcome ``actual_kw``.

        The squared error is the error of the mean ``forecast_kw``; the absolute error is the error of the median, if
        given.
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
        """1 - MSE / MSE of persistence; NaN if the error of persistence is next to zero."""
        return skill_or_nan(self.mse_kw2, self.persistence_mse_kw2)

    def _mean(self, total: float) -> float:
        return total / self.n if self.n else float("nan")
