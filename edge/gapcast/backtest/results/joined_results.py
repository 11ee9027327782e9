"""Joins the results of back-tests of some houses each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gapcast.backtest.demands.demand_tally import DemandTallies
from gapcast.backtest.outlooks.lead_scores import LeadScores
from gapcast.backtest.results.results import Backtest
from gapcast.core.horizons.horizon_parts import members_of_all
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.learning.scores.summary import ALL_TIME


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
    low_limits = {house: one for part in tallies for house, one in part.low_limits.items()}
    return Backtest(
        found[0].published_model,
        sum(one.n_readings for one in found),
        took_s,
        [houses[name] for name in names],
        scores.overall()[ALL_TIME].select(members_of_all(houses[name].scored.members for name in names)),
        outlooks=LeadScores(leads[0].lead_times_min, _ordered(outlooks, names)) if leads else None,
        demands=DemandTallies(_ordered(demands, names), low_limits) if tallies else None,
        sums=sums,
    )


def _ordered(by_house: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: by_house[name] for name in names if name in by_house}
