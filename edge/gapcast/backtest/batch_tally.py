"""Processes the batches of a back-test as the service does, and adds their results to its scores and files.

The scores cover all scored forecasts, by house and by week.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gapcast.backtest.demands.demand_tally import DemandTally
from gapcast.backtest.forecasts.outcomes_file import OutcomesFile
from gapcast.backtest.forecasts.refits import SimulatedRefits
from gapcast.backtest.forecasts.weeks import Weeks
from gapcast.backtest.outlooks.outlook_tally import OutlookTally
from gapcast.core.engine import Engine
from gapcast.core.forecasts.outcomes import Outcomes
from gapcast.core.learning.scores.scores import Scores
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.accepted_batch import AcceptedBatch
from gapcast.core.streams.minute_runs import MinuteRun


@dataclass(frozen=True, slots=True)
class Tally:
    """Scores of the forecasts made from the minute ``scored_from`` on (None: all forecasts), by engine row.

    They cover the ensemble members of all horizons.
    """

    scores: Scores
    weeks: Weeks
    scored_from: int | None
    horizon_of: Callable[[int], int]

    @classmethod
    def from_engine(cls, engine: Engine, n_houses: int, scored_from: int | None) -> Tally:
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


@dataclass(frozen=True, slots=True)
class BatchTally:
    """Adds up the batches of ``engine``: the scores of ``tally``, and the other results of a back-test.

    ``outlooks`` and ``demands`` also make and score outlooks and demands. ``simulated`` refits the houses.
    """

    engine: Engine
    tally: Tally
    outcomes_file: OutcomesFile | None = None
    simulated: SimulatedRefits | None = None
    outlooks: OutlookTally | None = None
    demands: DemandTally | None = None
    #: Number of forecasts replaced by persistence, by cause.
    causes: Counter[str] = field(default_factory=Counter)
    #: The models that returned unusable values.
    failed_models: set[str] = field(default_factory=set)

    @property
    def takes_readings(self) -> bool:
        """Whether batches must be added with :meth:`add`, as readings."""
        return self.simulated is not None or self.outlooks is not None or self.demands is not None

    def add(self, readings: Sequence[Reading]) -> int:
        """Process a batch of ``readings``; return their number."""
        return self._add(self.engine.accept(readings), readings)

    def add_runs(self, runs: Sequence[MinuteRun]) -> int:
        """Process a batch of readings in ``runs``, allowed unless :attr:`takes_readings`; return their number."""
        return self._add(self.engine.accept_runs(runs), ())

    def _add(self, accepted: AcceptedBatch, readings: Sequence[Reading]) -> int:
        engine = self.engine
        accepted.raise_failure()
        forecasts = engine.forecast(accepted, time.time_ns() // 1_000_000)
        if forecasts.replacements is not None:
            self.failed_models.update(forecasts.replacements.models)
            self.causes.update(one.cause for one in forecasts.replacements.replaced)
        if self.outlooks is not None or self.demands is not None:
            made = engine.outlook(accepted, forecasts)
            if self.outlooks is not None:
                self.outlooks.add(accepted, readings, made)
            if self.demands is not None:
                self.demands.add(accepted, readings, engine.demand(accepted, made))
        outcomes, _ = engine.learn()
        if self.outcomes_file is not None:
            newest = accepted.windows[:, -1]  # power only, or several features
            last_kw = newest if newest.ndim == 1 else newest[:, 0]
            self.outcomes_file.add(accepted.rows, last_kw.tolist(), forecasts, outcomes)
        if outcomes is not None:
            self.tally.add(outcomes)
        if self.simulated is not None:
            self.simulated.add(accepted, readings)
        return len(accepted.statuses)
