"""Warnings of `train` about the parts of a file, before the training."""

from __future__ import annotations

import numpy as np

from gapcast.core.time_grid import DAY_MIN
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import minute_at
from gapcast_trainer.data.windows import cut_test
from gapcast_trainer.experiments.experiment import Experiment

#: Training parts shorter than this get a warning, days.
_FEW_DAYS = 10


def split_warnings(experiment: Experiment, series: Series, *, n_others: int) -> list[str]:
    """Return warnings of a short training part, unless there are ``n_others`` houses, and of an unusable test part."""
    found = list[str]()
    n_days = _training_days(experiment, series)
    if 0 < n_days < _FEW_DAYS and not n_others:
        found.append(
            f"the training part has only {n_days:.1f} days: with fewer than about {_FEW_DAYS} a model may be no better "
            "than persistence"
        )
    if problem := _test_problem(experiment, series):
        found.append(
            f"{problem} in the test part, so that `export` will reject the model: set data.validate_until and "
            "data.test_until"
        )
    return found


def _training_days(experiment: Experiment, series: Series) -> float:
    """Return the length of the training part of ``series``, days."""
    first = series.first_minute if experiment.data.first is None else minute_at(experiment.data.first)
    return (minute_at(experiment.split().train_until) - max(first, series.first_minute)) / DAY_MIN


def _test_problem(experiment: Experiment, series: Series) -> str | None:
    """Return why a model cannot be scored on the test part of ``series``, or None."""
    test = cut_test(series, experiment.task(), experiment.split())
    if not len(test):
        return "the file has no windows to score the model on"
    last_kw = series.gap_kw[test.observed_minute - series.first_minute]
    if np.array_equal(test.target_kw[:, 0], last_kw.astype(np.float32)):
        return "the power never changes"
    return None
