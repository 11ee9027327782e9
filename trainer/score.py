"""Errors of forecasts against what really came."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.core import card
from edge.core.predictor import Predictor
from edge.core.window import F32
from trainer.windows import Examples, shorten

_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Score:
    """Errors over ``n`` forecasts at the horizon: kW^2 for MSE, kW for the others; bias is forecast minus truth."""

    n: int
    mse_kw2: float
    mae_kw: float
    bias_kw: float

    @property
    def rmse_kw(self) -> float:
        """Root of the mean squared error, kW."""
        return math.sqrt(self.mse_kw2)

    def skill(self, persistence: Score) -> float:
        """Return 1 - MSE / MSE of persistence on the same forecasts."""
        return 1 - self.mse_kw2 / persistence.mse_kw2

    def for_card(self) -> card.Score:
        """Return the score as a model's card states it."""
        return card.Score(n=self.n, mse_kw2=round(self.mse_kw2, 6), mae_kw=round(self.mae_kw, 6))


def score(
    predictor: Predictor,
    found: Examples,
    *,
    n_kept: int | None = None,
    advance: Callable[[int], object] | None = None,
) -> Score:
    """Score the means of ``predictor`` on ``found``, at its longest lead time.

    With ``n_kept`` every window is cut short to its newest ``n_kept`` readings and padded again.
    ``advance`` is told how many windows each step has done.
    """
    squared = absolute = signed = 0.0
    for window, target_kw in found.batches(_ROWS_AT_ONCE):
        seen: F32 = window if n_kept is None else shorten(window, n_kept, found.task.window)
        error = predictor.predict(seen).mean[:, -1].astype(np.float64) - target_kw[:, -1].astype(np.float64)
        squared += float(error @ error)
        absolute += float(np.abs(error).sum())
        signed += float(error.sum())
        if advance is not None:
            advance(len(error))
    n = len(found)
    return Score(n, squared / n, absolute / n, signed / n)
