"""The inputs of an outlook's online correction: few, so that its covariance is small.

Powers are changes from the last reading, in units of the device's scale: the window, the model's own outlook, what the
published forecast knows better, the device's daily profile, the same hour yesterday and a week ago, and the newest
errors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.grid import DAY_MIN
from gapcast.core.outlook.outlook import F64
from gapcast.core.outlook.outlook_inputs import OutlookInputs
from gapcast.core.window import F32, I64

#: Largest value of a column.
LIMIT = 50.0
#: Stretches of the window with their mean as a column: from the first to before the second minute back.
_STRETCHES = ((1, 3), (3, 6), (6, 10), (10, 15), (15, 30), (30, 60), (60, 120))
#: Lead times at which the model's own outlook is a column: minutes, and means up to them.
_POINTS_MIN, _MEANS_MIN = (5, 15, 30, 60), (15, 60)
#: Minutes ahead at which the daily profile is a column.
USUAL_MIN = (0, 15, 30, 60)
#: Columns of the published forecast's difference from the model's: mean and median.
_N_PUBLISHED = 2
#: Lead times whose newest errors are columns.
RECENT_MIN = (15, 60)
#: Value of the column for the bias of a house: as large as the others, so that it is learned as fast.
_BIAS = 3.0
#: Quarters of an hour in a day and in a week.
_DAY, _WEEK, _HOUR = 96, 672, 4
_ANGLE = np.arange(DAY_MIN) * (2 * np.pi / DAY_MIN)
_ON_CIRCLE = np.stack((np.sin(_ANGLE), np.cos(_ANGLE), np.sin(2 * _ANGLE), np.cos(2 * _ANGLE)), axis=1)


def nearest(leads_min: Sequence[int], wanted_min: Sequence[int]) -> list[int]:
    """Return the index of the lead time nearest to each of ``wanted_min``.

    >>> nearest((1, 5, 15), (5, 60))
    [1, 2]
    """
    return [int(np.argmin(np.abs(np.asarray(leads_min) - one))) for one in wanted_min]


class CorrectionFeatures:
    """Turns windows and the model's outlooks into columns."""

    def __init__(self, leads_min: Sequence[int]) -> None:
        """Take outlooks with the lead times ``leads_min``."""
        self._points, self._means = nearest(leads_min, _POINTS_MIN), nearest(leads_min, _MEANS_MIN)
        n_kw = _N_PUBLISHED + len(_POINTS_MIN) + 2 * len(_MEANS_MIN) + len(_STRETCHES) + len(USUAL_MIN) + 3
        #: Number of columns in kW, which come first.
        self._n_kw = n_kw
        #: Number of columns.
        self.width = n_kw + len(RECENT_MIN) + _ON_CIRCLE.shape[1] + 1

    def columns(self, inputs: OutlookInputs, usual_kw: F64, recent: F64, scale_kw: F64, local: I64) -> F32:
        """Return the columns ``[N, width]`` for ``inputs``.

        ``usual_kw`` ``[N, 4]`` is the daily profile, ``recent`` ``[N, 2]`` are the newest errors in units of
        ``scale_kw`` ``[N]``, and ``local`` ``[N]`` the local minute.
        """
        windows, model_kw, history = inputs.windows, inputs.model_kw, inputs.history
        n, n_kw = len(windows), self._n_kw
        columns = np.empty((n, self.width))
        last_kw = windows[:, -1].astype(np.float64)
        columns[:, :2] = inputs.published_kw
        at = _N_PUBLISHED
        columns[:, at : at + 4] = model_kw[:, self._points, 0, 0]
        at += 4
        columns[:, at : at + 2] = model_kw[:, self._means, 1, 0]
        at += 2
        sums = np.cumsum(windows[:, -1 : -_STRETCHES[-1][1] - 1 : -1], axis=1, dtype=np.float64)
        for begin, end in _STRETCHES:
            columns[:, at] = (sums[:, end - 1] - sums[:, begin - 1]) / (end - begin)
            at += 1
        columns[:, at : at + len(USUAL_MIN)] = usual_kw
        at += len(USUAL_MIN)
        if history is None:
            columns[:, at : at + 2] = last_kw[:, np.newaxis]
        else:
            columns[:, at] = history[:, -_DAY : -_DAY + _HOUR].mean(axis=1)
            columns[:, at + 1] = history[:, -_WEEK : -_WEEK + _HOUR].mean(axis=1)
        at += 2
        columns[:, _N_PUBLISHED:at] -= last_kw[:, np.newaxis]
        columns[:, at] = last_kw
        columns[:, at + 1 : at + 3] = model_kw[:, self._means, 0, 0] - model_kw[:, self._means, 0, 2]
        columns[:, :n_kw] /= scale_kw[:, np.newaxis]
        columns[:, n_kw : n_kw + 2] = recent
        columns[:, n_kw + 2 : n_kw + 6] = _ON_CIRCLE[local]
        columns[:, -1] = _BIAS
        return np.minimum(np.maximum(columns, -LIMIT), LIMIT).astype(np.float32)
