"""The results of a back-test."""

from __future__ import annotations

from dataclasses import dataclass, field

from gapcast.backtest.demands.demand_tally import DemandTallies
from gapcast.backtest.forecasts.refits import SimulatedRefits
from gapcast.backtest.forecasts.weeks import Week
from gapcast.backtest.outlooks.lead_scores import LeadScores
from gapcast.core.arrays.device_rows import Columns
from gapcast.core.learning.scores.summary import Period, Summary


@dataclass(frozen=True, slots=True)
class HouseResult:
    """The result for one house: its live scores at the end, the scores of the scoring period, and these by week."""

    name: str
    live: dict[Period, Summary]
    scored: Summary
    weeks: list[Week]


@dataclass(frozen=True, slots=True)
class Backtest:
    """The results of all houses. ``scored`` is over all of them; ``published_model`` is the forecasts' model name.

    ``refits`` is None if houses are not refitted, ``outlooks`` without ``--horizons``, ``demands`` without a limit.
    ``sums`` are the columns of the :class:`~gapcast.core.learning.scores.scores.Scores` that ``scored`` is computed
    from, in the order of ``houses``.
    """

    published_model: str
    n_readings: int
    took_s: float
    houses: list[HouseResult]
    scored: Summary
    refits: SimulatedRefits | None = None
    outlooks: LeadScores | None = None
    demands: DemandTallies | None = None
    sums: Columns = field(default_factory=dict)
