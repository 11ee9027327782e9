"""The data on which all forecasters of an evaluation are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from gapcast.core.arrays.array_types import I64
from gapcast.core.models.predictor import Predictor
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast.core.windows.window import WindowSpec
from gapcast.predictors.baselines import Persistence
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.errors import RunError
from gapcast_trainer.scores.day import choose_day
from gapcast_trainer.scores.minutes import Minutes, minutes_at
from gapcast_trainer.scores.model_outputs import windows_for
from gapcast_trainer.scores.span import Span


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """The data of an evaluation, and the minutes for which every model has a window, with their outcomes."""

    clean: CleanFile
    span: Span
    minutes: Minutes
    day: I64

    @classmethod
    def from_clean_file(
        cls, models: Sequence[Predictor], clean: CleanFile, span: Span, n_sampled: int = 0
    ) -> EvaluationData:
        """Find the minutes for which all ``models`` have a window, and sample ``n_sampled`` for slow peers."""
        naive = Persistence(WindowSpec(WHOLE_MIN), (span.horizon_min,))
        known = [windows_for(m, clean.series, span.split).observed_minute for m in (naive, *models)]
        observed: I64 = reduce(lambda a, b: np.intersect1d(a, b, assume_unique=True), known)
        leads = tuple(sorted({span.horizon_min, *(lead for model in models for lead in model.lead_times_min)}))
        minutes = minutes_at(clean.series, observed, leads, n_sampled)
        if not minutes.whole.any():
            msg = (
                f"no window to test on: from {span.first:%Y-%m-%dT%H:%MZ} until {span.until:%Y-%m-%dT%H:%MZ} "
                f"there are no {WHOLE_MIN} readings in a row with an outcome; "
                f"the file has {clean.report.first} to {clean.report.last}"
            )
            raise RunError(msg)
        return cls(clean, span, minutes, choose_day(minutes))

    def windows(self, predictor: Predictor) -> Examples:
        """Return the windows of ``predictor``, one for each of ``minutes``."""
        found = windows_for(predictor, self.clean.series, self.span.split)
        return found.select(np.searchsorted(found.observed_minute, self.minutes.observed_minute))
