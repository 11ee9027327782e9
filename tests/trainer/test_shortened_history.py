"""Scores by number of readings, of a model with a history: it must not know more than the readings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.window import WindowSpec
from gapcast.recordings.formats.clean_file import CleanFile
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, cut_examples
from gapcast_trainer.scores.model_outputs import predict_windows
from tests.trainer.forecasters import Spread, stand_ins
from tests.trainer.synthetic import SPLIT

STEPS = 672


@dataclass(frozen=True, slots=True)
class HistoryMean(Spread):
    """Forecasts the mean of its history."""

    history_steps: int = STEPS

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        assert history is not None
        return Prediction(np.repeat(history.mean(axis=1, keepdims=True), len(self.lead_times_min), axis=1))


def windows_of(series: Series) -> Examples:
    return cut_examples(series, WindowTask(WindowSpec(120)), SPLIT, SplitPart.TEST)


def history_of(windows: Examples, at: int, n_kept: int | None = None) -> F32:
    inputs = windows.inputs(at, at + 1, n_kept=n_kept)
    found = windows.histories(at, at + 1, inputs, STEPS, n_kept)
    assert found is not None
    (history,) = found
    return np.asarray(history)


def test_shortened_windows_have_the_history_of_the_minutes_kept(small: CleanFile) -> None:
    """As of a device that has sent nothing before: earlier readings change nothing."""
    windows = windows_of(small.series)
    for at in np.flatnonzero(windows.n_observed == 120)[:15].tolist():  # each minute of a quarter
        minute, whole = int(windows.observed_minute[at]), history_of(windows, at)
        for n_kept in (2, 20, 45, 120):
            kw = small.series.gap_kw.copy()
            kw[: minute + 1 - n_kept - small.series.first_minute] += 5
            found = history_of(windows, at, n_kept)
            np.testing.assert_array_equal(found, history_of(windows_of(replace(small.series, gap_kw=kw)), at, n_kept))
            n_known = max(n_kept - (minute + 1) % 15, 0) // 15
            np.testing.assert_array_equal(found[STEPS - n_known :], whole[STEPS - n_known :])
        of_a_week = windows.histories(at, at + 1, windows.inputs(at, at + 1), STEPS, 15 * (STEPS + 1))
        np.testing.assert_array_equal(of_a_week, [whole])


def test_predictions_of_shortened_windows_have_shortened_histories(small: CleanFile) -> None:
    windows = windows_of(small.series).whole()
    windows = windows.select(np.arange(0, len(windows), 97))
    (model,) = stand_ins(HistoryMean())
    expected = windows.histories(0, len(windows), windows.inputs(n_kept=20), STEPS, 20)
    assert expected is not None
    np.testing.assert_array_equal(predict_windows(model, windows, n_kept=20).mean[:, 0], expected.mean(axis=1))
    assert not np.array_equal(predict_windows(model, windows).mean[:, 0], expected.mean(axis=1))
