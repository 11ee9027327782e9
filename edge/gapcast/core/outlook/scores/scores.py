"""Live scores of outlooks, by lead time and kind, compared with persistence and the mean of a window of equal length.

Only sums are stored, for all time and, exponentially weighted, for about the last day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_predicates import is_every
from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.figures import skill_or_none
from gapcast.core.forecasts.forecast import LOWER as LOWER_LEVEL
from gapcast.core.forecasts.forecast import UPPER as UPPER_LEVEL
from gapcast.core.learning.scores.summary import ALL_TIME, LAST_DAY, Period
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, N_COLUMNS, UPPER
from gapcast.core.time_grid import DAY_MIN

#: The sums, in the order of their columns.
SUMS = ("n", "squared", "absolute", "bias", "persistence squared", "persistence absolute", "window squared",
        "window absolute", "pinball", "hits", "width")  # fmt: skip
_N, _HITS = SUMS.index("n"), SUMS.index("hits")
_KEPT = 1 - 1 / DAY_MIN
#: Errors are clipped to this magnitude, so that one absurd reading does not distort the sums permanently.
_LARGEST_KW = 1e6


@dataclass(frozen=True, slots=True)
class LeadScore:
    """The scores of one lead time and kind over a period; None without an outcome.

    ``mse_kw2`` and ``bias_kw`` (outlook minus actual) are metrics of the mean, ``mae_kw`` of the median. ``pinball_kw``
    is the mean of the losses of lower bound, median and upper bound, ``coverage`` the share of outcomes within the
    bounds. ``window_`` marks the mean of as many past minutes as the lead time.
    """

    lead_min: int
    n: int
    mse_kw2: float | None = None
    mae_kw: float | None = None
    bias_kw: float | None = None
    persistence_mse_kw2: float | None = None
    persistence_mae_kw: float | None = None
    window_mse_kw2: float | None = None
    window_mae_kw: float | None = None
    pinball_kw: float | None = None
    coverage: float | None = None
    width_kw: float | None = None

    @property
    def skill(self) -> float | None:
        """1 - MSE / MSE of persistence; None if the latter is near zero."""
        return skill_or_none(self.mse_kw2, self.persistence_mse_kw2)

    @property
    def window_skill(self) -> float | None:
        """1 - MSE / MSE of the mean of the last window; None if the latter is near zero."""
        return skill_or_none(self.mse_kw2, self.window_mse_kw2)


@dataclass(frozen=True, slots=True)
class OutlookScores:
    """The scores of each lead time: of single minutes, and of the means of all minutes up to them."""

    point: tuple[LeadScore, ...]
    mean: tuple[LeadScore, ...]


class Baselines(NamedTuple):
    """The baselines of N outlooks, by lead time, kW.

    ``last_kw`` ``[N, K]`` are the last readings when the outlooks were made, ``window_kw`` ``[N, K]`` the means of as
    many past minutes as the lead time.
    """

    last_kw: F64
    window_kw: F64


def _of_errors() -> F64:
    """Return the matrix that maps errors, absolute errors and squared errors (outlook columns and baselines) to sums.

    It gives all sums except the number and the hits. The loss of a quantile is ``(1 / 2 - level)`` times its error plus
    half of its absolute error.
    """
    last, window = N_COLUMNS, N_COLUMNS + 1
    error, size, square = np.eye(3 * (N_COLUMNS + 2)).reshape(3, N_COLUMNS + 2, -1)
    losses = [
        (0.5 - level) * error[column] + size[column] / 2
        for column, level in ((LOWER, LOWER_LEVEL), (MEDIAN, 0.5), (UPPER, UPPER_LEVEL))
    ]
    nothing = np.zeros_like(error[0])
    return np.stack(
        (
            nothing, square[MEAN], size[MEDIAN], error[MEAN], square[last], size[last], square[window], size[window],
            np.sum(losses, axis=0) / 3, nothing, error[UPPER] - error[LOWER],
        ),
        axis=1,
    )  # fmt: skip


_OF_ERRORS: F64 = _of_errors()


def initial_sums(n_leads: int) -> F64:
    """Return the initial sums, ``[2, K, 2, sums]``: of all time and of a day, by lead time and kind."""
    return np.zeros((2, n_leads, 2, len(SUMS)))


def add(sums: F64, kw: F64, actual_kw: F64, before: Baselines, is_due: NDArray[np.bool_]) -> None:
    """Add outcomes to ``sums`` ``[N, 2, K, 2, sums]``, in place.

    ``kw`` ``[N, K, 2, 4]`` are the published values, ``actual_kw`` ``[N, K, 2]`` the outcomes. Only the entries with
    ``is_due`` ``[N, K]`` count.
    """
    n_errors, shape = len(_OF_ERRORS) // 3, actual_kw.shape
    of_errors = np.empty((len(_OF_ERRORS), actual_kw.size))
    errors = of_errors[:n_errors]
    np.subtract(kw.reshape(-1, N_COLUMNS).T, actual_kw.reshape(-1), out=errors[:N_COLUMNS])
    for one, baseline_kw in zip(errors[N_COLUMNS:], before, strict=True):
        np.subtract(baseline_kw[:, :, np.newaxis], actual_kw, out=one.reshape(shape))
    np.maximum(errors, -_LARGEST_KW, out=errors)
    np.minimum(errors, _LARGEST_KW, out=errors)
    np.abs(errors, out=of_errors[n_errors : 2 * n_errors])
    np.multiply(errors, errors, out=of_errors[2 * n_errors :])
    # Device by device: the same result in any batch, and too small for a BLAS library to start threads.
    new = (of_errors.reshape(len(_OF_ERRORS), shape[0], -1).transpose(1, 2, 0) @ _OF_ERRORS).reshape(*shape, -1)
    new[..., _N] = 1.0
    new[..., _HITS] = ((errors[LOWER] <= 0) & (errors[UPPER] >= 0)).reshape(shape)
    if is_every(is_due):
        sums[:, 1] *= _KEPT
    else:
        new *= is_due[:, :, np.newaxis, np.newaxis]
        sums[:, 1] *= np.where(is_due, _KEPT, 1.0)[:, :, np.newaxis, np.newaxis]
    sums[:, 0] += new
    sums[:, 1] += new


def scores_of(sums: F64, leads_min: Sequence[int]) -> dict[Period, OutlookScores]:
    """Return the scores for the ``sums`` ``[2, K, 2, sums]`` of a device."""
    return {
        period: OutlookScores(*(tuple(map(_score, leads_min, of_period[:, kind].tolist())) for kind in (0, 1)))
        for period, of_period in ((LAST_DAY, sums[1]), (ALL_TIME, sums[0]))
    }


def _score(lead_min: int, sums: list[float]) -> LeadScore:
    n, *others = sums
    if n <= 0:
        return LeadScore(lead_min, 0)
    return LeadScore(lead_min, round(n), *(value / n for value in others))
