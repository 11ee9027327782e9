"""Weights that convert quarter-hour means to the means of spans that begin at any minute.

The minute after the observed one is minute ``p`` (0 to 14) of a quarter, its phase. A span of whole minutes from there
covers parts of several quarters; if only quarters' means are known, the mean of the span is estimated as their mean,
weighted by the minutes covered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.streams.quarters import STEP_MIN, STEPS

#: Quarters of a day, and days of the history.
QUARTERS_A_DAY = 96
DAYS = STEPS // QUARTERS_A_DAY


def span_weights(spans: Sequence[tuple[int, int]], n_quarters: int) -> F32:
    """Return the share of each quarter in each span for each phase, ``[15, n_quarters, len(spans)]``.

    A span is the offset of its first minute and of the minute after its last, counted from the minute after the
    observed one; quarter 0 contains that minute. Raises :class:`ValueError` if a span leaves the quarters.

    >>> span_weights([(0, 16)], 2)[7, :, 0].tolist()
    [0.5, 0.5]
    """
    phase = np.arange(STEP_MIN)[:, np.newaxis, np.newaxis]
    begin = np.arange(n_quarters)[:, np.newaxis] * STEP_MIN
    first = np.array([span[0] for span in spans])
    until = np.array([span[1] for span in spans])
    covered = np.minimum(begin + STEP_MIN, phase + until) - np.maximum(begin, phase + first)
    share = np.maximum(covered, 0) / (until - first)
    if not np.allclose(share.sum(axis=1), 1):
        msg = f"spans {list(spans)} leave the {n_quarters} quarters"
        raise ValueError(msg)
    return np.asarray(share, dtype=np.float32)
