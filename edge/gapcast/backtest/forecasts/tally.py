"""The scores of a back-test: of all scored forecasts by house, and by week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gapcast.backtest.forecasts.weeks import Weeks
from gapcast.core.engine import Engine
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores.scores import Scores


@dataclass(frozen=True, slots=True)
class Tally:
    """Scores of the forecasts made from the minute ``scored_from`` on (None: of all), by the engine's rows.

    They are of the ensemble members of all horizons.
    """

    scores: Scores
    weeks: Weeks
    scored_from: int | None
    horizon_of: Callable[[int], int]

    @classmethod
    def of(cls, engine: Engine, n_houses: int, scored_from: int | None) -> Tally:
        """Return an empty tally."""

        def horizon_of(row: int) -> int:
            return engine.forecaster_of(engine.buffers.device(row)).horizon_min

        return cls(Scores(engine.horizons.members, n_houses), Weeks(), scored_from, horizon_of)

    def add(self, outcomes: Outcomes) -> None:
        """Add ``outcomes``."""
        if self.scored_from is not None:
            horizons_min = np.array([self.horizon_of(row) for row in outcomes.rows.tolist()], dtype=np.int64)
            outcomes = outcomes.select(outcomes.minutes - horizons_min >= self.scored_from)
        if len(outcomes):
            self.scores.add(outcomes)
            self.weeks.add(outcomes)
