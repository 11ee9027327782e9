"""The inputs of an outlook's online correction: few, so that its covariance is small.

Powers are changes from the last reading, in units of the device's scale: the window, the model's own outlook, the
difference of the published forecast from it, the device's daily profile, the same hour yesterday and a week ago, and
the newest errors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.outlook.correction.corrected_outlooks import OutlookInputs
from gapcast.core.outlook.outlook import MEAN, MEDIAN, N_COLUMNS
from gapcast.core.windows.features import ANGLES_OF_DAY

#: Largest value of a column.
LIMIT = 50.0
#: Stretches of the window with their mean as a column: each from one of these minutes back to before the next one.
_STRETCHES = (1, 3, 6, 10, 15, 30, 60, 120)
#: Number of past minutes of power that the columns need.
REACH_MIN = _STRETCHES[-1]
_BEGINS, _LENGTHS = np.array(_STRETCHES[:-1]), np.diff(_STRETCHES)
#: Lead times, minutes, at which the model's own outlook is a column: of single minutes, and of means.
_POINTS_MIN, _MEANS_MIN = (5, 15, 30, 60), (15, 60)
#: Minutes ahead at which the daily profile is a column.
USUAL_MIN = (0, 15, 30, 60)
#: Number of columns of the published forecast's difference from the model: mean and median.
_N_PUBLISHED = 2
#: Lead times whose newest errors are columns.
RECENT_MIN = (15, 60)
#: Value of the column for the bias of a house: as large as other values, so that it is learned equally fast.
_BIAS = 3.0
#: Number of quarter-hours in a day, a week and an hour.
_DAY, _WEEK, _HOUR = 96, 672, 4
#: Slices of the history, oldest quarter first: the same hour yesterday and a week ago.
HISTORY_HOURS = slice(-_DAY, -_DAY + _HOUR), slice(-_WEEK, -_WEEK + _HOUR)
#: Sine and cosine of each minute of the day, and of half a day, ``[1440, 4]``.
ON_CIRCLE = np.stack([part(n * ANGLES_OF_DAY) for n in (1, 2) for part in (np.sin, np.cos)], axis=1)


def nearest(leads_min: Sequence[int], wanted_min: Sequence[int]) -> list[int]:
    """Return the index of the lead time nearest to each of ``wanted_min``.

    >>> nearest((1, 5, 15), (5, 60))
    [1, 2]
    """
    return [int(np.argmin(np.abs(np.asarray(leads_min) - one))) for one in wanted_min]


class CorrectionFeatures:
    """Turns windows and the model's outlooks into columns."""

    def __init__(self, leads_min: Sequence[int]) -> None:
        """Use outlooks with the lead times ``leads_min``."""
        points, means = nearest(leads_min, _POINTS_MIN), nearest(leads_min, _MEANS_MIN)
        #: The places of the model's columns in a flat outlook: means of single minutes, means up to lead times, and the
        #: means and the medians of single minutes at the latter lead times.
        places = [(one, 0, MEAN) for one in points] + [(one, 1, MEAN) for one in means]
        places += [(one, 0, column) for column in (MEAN, MEDIAN) for one in means]
        self.places = np.array([(lead * 2 + kind) * N_COLUMNS + column for lead, kind, column in places])
        self._n_model = len(points) + len(means)
        #: Number of columns in kW, which come first.
        self._n_kw = _N_PUBLISHED + self._n_model + len(_BEGINS) + len(USUAL_MIN) + 3 + len(means)
        #: Number of columns.
        self.width = self._n_kw + len(RECENT_MIN) + ON_CIRCLE.shape[1] + 1

    def columns(self, inputs: OutlookInputs, profile_kw: F64, recent: F64, scale_kw: F64, local: I64) -> F32:
        """Return the columns ``[N, width]`` for ``inputs``.

        ``profile_kw`` ``[N, 4]`` is the daily profile, ``recent`` ``[N, 2]`` are the newest errors in units of
        ``scale_kw`` ``[N]``, and ``local`` ``[N]`` the local minute.
        """
        windows, history = inputs.windows, inputs.history
        n, n_kw, n_model = len(windows), self._n_kw, self._n_model
        columns = np.empty((n, self.width))
        last_kw = windows[:, -1:].astype(np.float64)
        columns[:, :_N_PUBLISHED] = inputs.published_kw
        of_model = inputs.model_kw.reshape(n, -1).take(self.places, axis=1)
        at = _N_PUBLISHED + n_model
        columns[:, _N_PUBLISHED:at] = of_model[:, :n_model]
        back = windows[:, -1 : -_STRETCHES[-1] - 1 : -1]
        np.divide(np.add.reduceat(back, _BEGINS, 1, np.float64), _LENGTHS, out=columns[:, at : at + len(_BEGINS)])
        at += len(_BEGINS)
        columns[:, at : at + len(USUAL_MIN)] = profile_kw
        at += len(USUAL_MIN)
        if history is None:
            columns[:, at : at + 2] = last_kw
        else:
            for i, quarters in enumerate(HISTORY_HOURS):
                columns[:, at + i] = np.add.reduce(history[:, quarters], axis=1) / _HOUR
        at += 2
        columns[:, _N_PUBLISHED:at] -= last_kw
        columns[:, at : at + 1] = last_kw
        n_means = (of_model.shape[1] - n_model) // 2
        columns[:, at + 1 : n_kw] = of_model[:, n_model : n_model + n_means] - of_model[:, n_model + n_means :]
        columns[:, :n_kw] /= scale_kw[:, np.newaxis]
        columns[:, n_kw : n_kw + 2] = recent
        columns[:, n_kw + 2 : n_kw + 6] = ON_CIRCLE.take(local, axis=0)
        columns[:, -1] = _BIAS
        return np.minimum(np.maximum(columns, -LIMIT), LIMIT).astype(np.float32)
