"""The results of a back-test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gapcast.backtest.demands.demand_tally import DemandTallies
from gapcast.backtest.forecasts.refits import SimulatedRefits
from gapcast.backtest.forecasts.weeks import Week
from gapcast.backtest.outlooks.lead_scores import LeadScores
from gapcast.core.arrays.device_rows import Columns
from gapcast.core.horizons.horizon_parts import members_of_all
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import ALL_TIME, Period, Summary


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
    ``sums`` are the columns of the :class:`~gapcast.core.learning.scores.scores.Scores` from which ``scored`` is
    computed, in the order of ``houses``. ``n_replaced`` forecasts are persistence, in place of unusable values;
    ``failed_models`` returned such values. ``notes`` are sentences on models trained on data of the same time.
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
    n_replaced: int = 0
    failed_models: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def join_backtests(found: Sequence[Backtest], names: Sequence[str], took_s: float) -> Backtest:
    """Return the results ``found`` of groups of houses as one, with the houses in the order of ``names``.

    ``took_s`` is the duration of all groups together, s.
    """
    houses = {house.name: house for one in found for house in one.houses}
    at = {house.name: i for i, house in enumerate(house for one in found for house in one.houses)}
    order = [at[name] for name in names]
    sums = {column: np.concatenate([one.sums[column] for one in found])[order] for column in found[0].sums}
    scores = Scores(members_of_all(one.scored.members for one in found), len(names))
    scores.restore_columns(sums)
    leads = [one.outlooks for one in found if one.outlooks is not None]
    outlooks = {house: one for part in leads for house, one in part.houses.items()}
    tallies = [one.demands for one in found if one.demands is not None]
    demands = {house: one for part in tallies for house, one in part.houses.items()}
    infeasible_limits = {house: one for part in tallies for house, one in part.infeasible_limits.items()}
    return Backtest(
        found[0].published_model,
        sum(one.n_readings for one in found),
        took_s,
        [houses[name] for name in names],
        scores.overall()[ALL_TIME].select(members_of_all(houses[name].scored.members for name in names)),
        outlooks=LeadScores(leads[0].lead_times_min, _ordered(outlooks, names)) if leads else None,
        demands=DemandTallies(_ordered(demands, names), infeasible_limits) if tallies else None,
        sums=sums,
        n_replaced=sum(one.n_replaced for one in found),
        failed_models=tuple(sorted({model for one in found for model in one.failed_models})),
        notes=tuple(dict.fromkeys(note for one in found for note in one.notes)),
    )


def _ordered(by_house: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: by_house[name] for name in names if name in by_house}
