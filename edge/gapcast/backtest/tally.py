"""The scores of a back-test: of all scored forecasts by house, and by week."""

from __future__ import annotations

from dataclasses import dataclass

from gapcast.backtest.weeks import Weeks
from gapcast.core.engine import Engine
from gapcast.core.learning.outcomes import Outcomes
from gapcast.core.learning.scores import Scores


@dataclass(frozen=True, slots=True)
class Tally:
    """Scores of the forecasts made from the minute ``scored_from`` on (None: of all), by the engine's rows."""

    scores: Scores
    weeks: Weeks
    scored_from: int | None
    horizon_min: int

    @classmethod
    def of(cls, engine: Engine, n_houses: int, scored_from: int | None) -> Tally:
        """Return an empty tally."""
        horizon_min = engine.published_model.lead_times_min[-1]
        return cls(Scores(engine.scores.members, n_houses), Weeks(), scored_from, horizon_min)

    def add(self, outcomes: Outcomes) -> None:
        """Add ``outcomes``."""
        if self.scored_from is not None:
            outcomes = outcomes.select(outcomes.minutes - self.horizon_min >= self.scored_from)
        if len(outcomes):
            self.scores.add(outcomes)
            self.weeks.add(outcomes)
