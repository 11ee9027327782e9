"""The trend baseline of the study: a straight line through the recent readings, extrapolated to its horizon.

Weighted least squares; a reading ``k`` minutes old has the weight ``forgetting ** k`` (exponential
forgetting as in recursive least squares: Ljung, System Identification, 2nd ed., section 11.2).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F64
from gapcast.core.windows.window import MIN_OBSERVED
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.study.household import Household, scored_minutes, whole_windows
from gapcast_trainer.study.settings import HORIZON_MIN, StudySettings
from gapcast_trainer.study.study_errors import errors_of

WINDOWS_MIN = (2, 3, 5, 10, 15, 20, 30)
FORGETTING = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
_ROWS_AT_ONCE = 65_536


class Line:
    """The predictor, updated reading by reading; forecasts start with the second reading.

    >>> line = Line(window_min=30)
    >>> line.add(0, 1.0)
    >>> line.forecast(5) is None
    True
    >>> line.add(1, 1.1)
    >>> round(line.forecast(5), 6)
    1.6
    """

    def __init__(self, window_min: int, forgetting: float = 1.0) -> None:
        """Use the last ``window_min`` minutes (at least 2), with the forgetting factor ``forgetting`` in (0, 1]."""
        if window_min < MIN_OBSERVED or not 0 < forgetting <= 1:
            msg = f"a line needs 2 minutes or more and a forgetting factor in (0, 1], not {window_min} and {forgetting}"
            raise ValueError(msg)
        self._window_min = window_min
        self._weight = [forgetting**age for age in range(window_min)]
        self._readings: deque[tuple[int, float]] = deque()

    def add(self, minute: int, gap_kw: float) -> None:
        """Add the reading of ``minute``, later than the last one; missing minutes are omitted from the fit."""
        self._readings.append((minute, gap_kw))
        while self._readings[0][0] <= minute - self._window_min:
            self._readings.popleft()

    def forecast(self, ahead_min: int) -> float | None:
        """Return the line's value ``ahead_min`` minutes after the last reading, kW; None below two readings."""
        if len(self._readings) < MIN_OBSERVED:
            return None
        now = self._readings[-1][0]
        weights = sum_t = sum_tt = sum_y = sum_ty = 0.0
        for minute, kw in self._readings:
            t = minute - now
            weight = self._weight[-t]
            weights += weight
            sum_t += weight * t
            sum_tt += weight * t * t
            sum_y += weight * kw
            sum_ty += weight * t * kw
        slope = (weights * sum_ty - sum_t * sum_y) / (weights * sum_tt - sum_t * sum_t)
        return (sum_y - slope * sum_t) / weights + slope * ahead_min


def coefficients(n_readings: int, forgetting: float, ahead_min: int) -> F64:
    """Return the coefficient of each of ``n_readings`` consecutive readings (oldest first) in the forecast ``[n]``.

    >>> coefficients(2, 1.0, 5).round(6).tolist()
    [-5.0, 6.0]
    """
    t = np.arange(1 - n_readings, 1, dtype=np.float64)
    weight = forgetting**-t
    share = weight / weight.sum()
    centre = share @ t
    counts: F64 = share + share * (t - centre) * (ahead_min - centre) / (share @ (t - centre) ** 2)
    return counts


def compare(household: Household, settings: StudySettings) -> dict[str, Any]:
    """Score lines over :data:`WINDOWS_MIN` and :data:`FORGETTING`, and the best line by observed readings.

    The best line is chosen on the validation part; all scores are from the test part.
    """
    every = settings.every(1, 50)
    test = scored_minutes(household.series, settings.split, every=every)
    forecasts = {
        (n, factor): coefficients(n, factor, HORIZON_MIN)
        for n in WINDOWS_MIN
        for factor in (FORGETTING if n > MIN_OBSERVED else (1.0,))  # two readings determine the line
    }
    window_min, forgetting = best_line(household, settings)
    counts = range(MIN_OBSERVED, test.task.window.context + 1)
    plain = {n: coefficients(n, 1.0, HORIZON_MIN) for n in counts}
    forgetful = {n: coefficients(min(n, window_min), forgetting, HORIZON_MIN) for n in counts}
    return {
        "persistence": _score(test, np.ones(1)),
        "lines": [{"window_min": n, "forgetting": f, **_score(test, c)} for (n, f), c in forecasts.items()],
        "best": {"window_min": window_min, "forgetting": forgetting},
        "by_readings": {
            "plain": {str(n): _score(test, c)["mse_kw2"] for n, c in plain.items()},
            "best": {str(n): _score(test, c)["mse_kw2"] for n, c in forgetful.items()},
        },
    }


def best_line(household: Household, settings: StudySettings) -> tuple[int, float]:
    """Return the window (minutes) and the forgetting factor with the lowest squared error on the validation part."""
    found = whole_windows(household.series, max(WINDOWS_MIN), settings.split, SplitPart.VALIDATE)
    found = found.select(np.arange(0, len(found), 5, dtype=np.int64))
    grid = [(n, factor) for n in WINDOWS_MIN for factor in FORGETTING]
    return min(grid, key=lambda each: _score(found, coefficients(each[0], each[1], HORIZON_MIN))["mse_kw2"])


def _score(found: Examples, counts: F64) -> dict[str, Any]:
    """Return the errors of the forecast that sums the newest readings with ``counts`` ``[n]``, oldest first."""
    forecast_kw = [kw[:, -len(counts) :, 0].astype(np.float64) @ counts for kw, _ in found.batches(_ROWS_AT_ONCE)]
    return errors_of(np.concatenate(forecast_kw), found.target_kw[:, 0])
