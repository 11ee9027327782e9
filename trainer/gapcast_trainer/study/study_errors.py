"""Errors of forecasts in the study's results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def errors_of(forecast_kw: NDArray[np.floating], actual_kw: NDArray[np.floating]) -> dict[str, Any]:
    """Return n, MSE (kW²), MAE and bias (kW, forecast minus actual) of two arrays ``[N]``.

    >>> errors_of(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    {'n': 2, 'mse_kw2': 2.0, 'mae_kw': 1.0, 'bias_kw': 1.0}
    """
    error = np.asarray(forecast_kw, dtype=np.float64) - np.asarray(actual_kw, dtype=np.float64)
    return {
        "n": int(error.size),
        "mse_kw2": float(np.mean(error**2)),
        "mae_kw": float(np.mean(np.abs(error))),
        "bias_kw": float(np.mean(error)),
    }
