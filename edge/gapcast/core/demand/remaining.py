"""The distribution of the mean power over coming minutes, from the outlook's means until each lead time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand.distribution import LEVELS, PowerDistributions
from gapcast.core.learning.device_rows import DeviceRows
from gapcast.core.outlook.outlook import LOWER, MEDIAN, UPPER
from gapcast.core.window import F32, I64

F64 = NDArray[np.float64]
#: Index of the means until a lead time in :attr:`RemainingInputs.outlook_kw`; the single minutes come before.
MEAN_TO = 1
#: Share of the interval between median and bound at each level, signed.
_SHARES = np.array([NormalDist().inv_cdf(level) for level in LEVELS]) / NormalDist().inv_cdf(0.95)


class RemainingInputs(NamedTuple):
    """N readings and the coming minutes whose mean is asked for. Power in kW.

    ``rows`` ``[N]`` are those of the state, from 1 on, ``minutes`` ``[N]`` the newest ones. ``outlook_kw``
    ``[N, K, 2, 4]`` is the outlook: kind 0 of single minutes, 1 of the means until each lead time. ``windows``
    ``[N, context]`` are the readings. The minutes are ``ahead_from`` + 1 to ``ahead_to`` ahead, both ``[N]``.
    """

    rows: I64
    minutes: I64
    outlook_kw: F64
    windows: F32
    ahead_from: I64
    ahead_to: I64


class RemainingPower:
    """Makes the distributions. ``leads_min`` are the outlook's lead times, rising."""

    def __init__(self, leads_min: Sequence[int]) -> None:
        self._leads_min = tuple(leads_min)
        #: What is learned of each device.
        self.state = DeviceRows({})

    def distributions(self, inputs: RemainingInputs) -> PowerDistributions:
        """Return the distribution of the mean power over the minutes of each of ``inputs``."""
        ends_kw = mean_until(self._leads_min, inputs.outlook_kw[:, :, MEAN_TO], inputs.ahead_to)
        median_kw = mean_between(
            self._leads_min, inputs.outlook_kw[:, :, MEAN_TO, MEDIAN], inputs.ahead_from, inputs.ahead_to
        )
        down_kw = (ends_kw[:, MEDIAN] - ends_kw[:, LOWER])[:, np.newaxis]
        up_kw = (ends_kw[:, UPPER] - ends_kw[:, MEDIAN])[:, np.newaxis]
        return PowerDistributions.of(median_kw[:, np.newaxis] + _SHARES * np.where(_SHARES < 0, down_kw, up_kw))

    def learn(self, inputs: RemainingInputs) -> None:
        """Learn from the outcomes that the readings of ``inputs`` bring: the bounds of the outlook are calibrated."""


def mean_until(leads_min: Sequence[int], mean_to_kw: F64, ahead: I64) -> F64:
    """Return the mean ``[N, *]`` of the minutes from the next one to ``ahead`` ``[N]``, at least 1.

    ``mean_to_kw`` is ``[N, K, *]``, at the K lead times: between them the energy rises evenly, after the last one the
    mean stays.

    >>> mean_until((1, 3), np.array([[2.0, 1.0]]), np.array([2]))
    array([1.25])
    """
    leads = np.asarray(leads_min, dtype=np.float64)
    after = np.searchsorted(leads, ahead)
    at, n = np.arange(len(ahead)), len(leads)
    right = np.minimum(after, n - 1)
    left = np.maximum(right - 1, 0)
    axes = (len(ahead),) + (1,) * (mean_to_kw.ndim - 2)
    span = (leads[right] - leads[left]).reshape(axes)
    clipped = np.minimum(np.maximum(ahead, leads[0]), leads[-1])
    share = (clipped.reshape(axes) - leads[left].reshape(axes)) / np.where(span > 0, span, 1.0)
    low = mean_to_kw[at, left] * leads[left].reshape(axes)
    high = mean_to_kw[at, right] * leads[right].reshape(axes)
    found: F64 = (low + share * (high - low)) / clipped.reshape(axes)
    return found


def mean_between(leads_min: Sequence[int], mean_to_kw: F64, ahead_from: I64, ahead_to: I64) -> F64:
    """Return the mean ``[N, *]`` of the minutes from ``ahead_from`` + 1 to ``ahead_to``; see :func:`mean_until`."""
    axes = (len(ahead_to),) + (1,) * (mean_to_kw.ndim - 2)
    start, end = ahead_from.reshape(axes), ahead_to.reshape(axes)
    before = mean_until(leads_min, mean_to_kw, np.maximum(ahead_from, 1)) * start
    found: F64 = (mean_until(leads_min, mean_to_kw, ahead_to) * end - before) / (end - start)
    return found
