"""The range of forecasts, and the replacement for a forecast of a faulty model or from damaged state.

A forecast may exceed ``limits.min_kw`` to ``limits.max_kw`` by :data:`MARGIN` of their span on each side. Values
further out are clipped: a house may draw as much as its limits allow, and models then forecast more. A value that is
further outside than the range is wide, infinite or NaN comes from a faulty model or damaged state. Such a forecast is
replaced by persistence: mean and median are the last reading, with an interval of :data:`INTERVAL_KW` on each side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64, Flags
from gapcast.core.models.predictor import Prediction
from gapcast.core.readings.reading import Limits

#: The cause of a replaced forecast.
Cause = Literal["model", "state"]
#: Margin of the range on each side, as a part of the limits' span.
MARGIN = 0.1
#: Distance of clipped predictions from the end of the range, as a part of its width: float32 has seven digits.
_ROUNDING = 1e-6
#: Half the width of the interval around persistence, kW: the half-width of a new device without a model interval.
INTERVAL_KW = 0.4
#: A device without a reading below this power does not export, kW, and its lower bound is not below 0: a meter's zero
#: fluctuates a little. A reading of -0.05 kW, which is slightly lower as a float32, is no export either. For
#: persistence the last reading decides.
FEEDS_IN_KW = -0.050001
#: The widest limits that can be configured, kW.
WIDEST = Limits(-1e6, 1e6)
#: Batches up to this size are checked value by value, which is faster than with arrays.
_SMALL_BATCH = 8
#: The largest weight, with an allowance for rounding.
_LARGEST_SHARE = 1.0 + 1e-9


class Replacement(NamedTuple):
    """A forecast that was replaced by persistence.

    ``cause`` is ``model`` if the published model returned an unusable value, ``state`` if the device's
    learning state was damaged and has been reset. ``value_kw`` is the value that was not published: any float or NaN.
    """

    device: str
    cause: Cause
    value_kw: float


@dataclass(frozen=True, slots=True)
class ForecastReplacements:
    """The replacements in a batch of forecasts: models that returned unusable values, and the replaced forecasts."""

    models: tuple[str, ...]
    replaced: tuple[Replacement, ...]

    @classmethod
    def joined(cls, parts: Sequence[ForecastReplacements]) -> ForecastReplacements | None:
        """Return the replacements of all ``parts`` of a batch, each model once; None without replacements."""
        if not parts:
            return None
        models = dict.fromkeys(model for part in parts for model in part.models)
        return cls(tuple(models), tuple(one for part in parts for one in part.replaced))


@dataclass(frozen=True, slots=True)
class ForecastRange:
    """The lowest and the highest power of a forecast, kW.

    >>> ForecastRange.from_limits(Limits(0.0, 20.0))
    ForecastRange(low_kw=-2.0, high_kw=22.0)
    """

    low_kw: float
    high_kw: float

    @classmethod
    def from_limits(cls, limits: Limits) -> ForecastRange:
        """Return the range of forecasts for readings within ``limits``."""
        margin_kw = MARGIN * (limits.max_kw - limits.min_kw)
        return cls(limits.min_kw - margin_kw, limits.max_kw + margin_kw)

    @property
    def width_kw(self) -> float:
        """The difference between the highest and the lowest power."""
        return self.high_kw - self.low_kw

    def clip(self, kw: NDArray[Any]) -> NDArray[Any]:
        """Return ``kw`` with values in the range. Infinite values become finite, NaN stays."""
        margin_kw = _ROUNDING * self.width_kw  # so that a rounded value, or a rounded mean of several, is in the range
        clipped: NDArray[Any] = np.clip(kw, self.low_kw + margin_kw, self.high_kw - margin_kw)
        return clipped

    def are_faulty(self, kw: NDArray[np.floating]) -> Flags:
        """Return which of N windows with values ``kw`` ``[N, ...]`` have one that no sound model returns, ``[N]``."""
        sound = (kw >= self.low_kw - self.width_kw) & (kw <= self.high_kw + self.width_kw)
        faulty: Flags = np.logical_not(sound.reshape(len(kw), -1).all(axis=1))
        return faulty

    def clip_prediction(self, prediction: Prediction) -> tuple[Prediction, Flags | None]:
        """Return ``prediction`` with powers in the range, and which of its N windows are faulty, ``[N]``; None if none.

        The values of faulty windows are arbitrary.
        """
        safe_kw = min(-self.low_kw, self.high_kw)  # one comparison is enough for most batches
        mean, quantiles = prediction.mean, prediction.quantiles
        if _is_within(mean, safe_kw) and (quantiles is None or _is_within(quantiles, safe_kw)):
            return prediction, None
        faulty = self.are_faulty(mean)
        if quantiles is not None:
            faulty |= self.are_faulty(quantiles)
            quantiles = self.clip(quantiles)
        return prediction._replace(mean=self.clip(mean), quantiles=quantiles), faulty if faulty.any() else None

    def all_possible(self, kw: F64, shares: F64, *, bounded: bool) -> bool:
        """Return whether N forecasts are in range and, if ``bounded``, their bounds enclose the median.

        ``kw`` is ``[N, 4]`` (mean, median, lower, upper), ``shares`` ``[N, 2, E]`` their ensemble weights.
        """
        if len(kw) > _SMALL_BATCH:
            return not self.impossible(kw, shares, bounded=bounded).any()
        low_kw, high_kw = self.low_kw, self.high_kw
        for mean_kw, median_kw, lower_kw, upper_kw in kw.tolist():
            if not (low_kw <= mean_kw <= high_kw and low_kw <= median_kw <= high_kw):
                return False
            if bounded and not low_kw <= lower_kw <= median_kw <= upper_kw <= high_kw:
                return False
        weights = shares.ravel().tolist()
        # min and max may ignore NaN; a sum does not.
        return bool(min(weights) >= 0.0 and max(weights) <= _LARGEST_SHARE and sum(weights) >= 0.0)

    def impossible(self, kw: F64, shares: F64, *, bounded: bool) -> Flags:
        """Return which of N forecasts violate the conditions of :meth:`all_possible`, ``[N]``."""
        low_kw, high_kw = self.low_kw, self.high_kw
        mean_kw, median_kw, lower_kw, upper_kw = kw.T
        possible = (low_kw <= mean_kw) & (mean_kw <= high_kw) & (low_kw <= median_kw) & (median_kw <= high_kw)
        if bounded:
            possible &= (low_kw <= lower_kw) & (lower_kw <= median_kw)
            possible &= (median_kw <= upper_kw) & (upper_kw <= high_kw)
        possible &= ((shares >= 0.0) & (shares <= _LARGEST_SHARE)).reshape(len(kw), -1).all(axis=1)
        impossible: Flags = ~possible
        return impossible

    def outside(self, kw: Sequence[float]) -> float:
        """Return the first of a forecast's values ``kw`` that is out of range or not finite; else the first value."""
        return next((value for value in kw if not self.low_kw <= value <= self.high_kw), kw[0])

    def clip_forecasts(self, kw: F64) -> None:
        """Clip N forecasts ``kw`` ``[N, 4]`` in place to the range, and bounds to the median if on its wrong side.

        Faulty means and medians, and bounds of intervals wider than the range, are left unchanged.
        """
        sound = ~self.are_faulty(kw[:, :2])
        kw[sound, :2] = np.minimum(np.maximum(kw[sound, :2], self.low_kw), self.high_kw)
        median_kw, lower_kw, upper_kw = kw.T[1:]
        sound &= upper_kw - lower_kw <= self.width_kw
        cut = np.minimum(np.maximum(kw[:, 2:], self.low_kw), self.high_kw)
        np.copyto(lower_kw, np.minimum(cut[:, 0], median_kw), where=sound)
        np.copyto(upper_kw, np.maximum(cut[:, 1], median_kw), where=sound)

    def persistence(self, last_kw: F64) -> F64:
        """Return the persistence forecast ``[N, 4]`` for last readings of ``last_kw`` ``[N]``, kW."""
        mean_kw = np.minimum(np.maximum(last_kw, self.low_kw), self.high_kw)
        floor_kw = np.where(mean_kw < FEEDS_IN_KW, self.low_kw, np.minimum(mean_kw, 0.0))
        lower_kw = np.maximum(mean_kw - INTERVAL_KW, floor_kw)
        upper_kw = np.minimum(mean_kw + INTERVAL_KW, self.high_kw)
        return np.stack([mean_kw, mean_kw, lower_kw, upper_kw], axis=1)

    def usable_windows(self, windows: F32) -> NDArray[np.bool_]:
        """Return which values of ``windows`` ``[N, context, C]``, power first, are possible values of a reading."""
        usable = np.abs(windows) <= -WIDEST.min_kw
        usable[..., 0] &= (windows[..., 0] >= self.low_kw) & (windows[..., 0] <= self.high_kw)
        return usable


def _is_within(values: F32, safe_kw: float) -> bool:
    """Return whether all ``values`` ``[N, ...]`` are finite and at most ``safe_kw`` from 0, kW."""
    # No value exceeds the root of the sum of all squares, and NaN compares false.
    if len(values) <= _SMALL_BATCH and math.hypot(*values.ravel().tolist()) <= safe_kw:
        return True
    return bool(np.abs(values).max() <= safe_kw)


def replace_windows(
    prediction: Prediction, which: Flags, last_kw: F64, levels: tuple[float, ...] | None, forecast_range: ForecastRange
) -> Prediction:
    """Return ``prediction`` with persistence in the windows selected by ``which`` ``[N]``.

    ``last_kw`` ``[N]`` are the windows' newest readings, ``levels`` the quantile levels.
    """
    mean = prediction.mean.copy()
    fallback_kw = forecast_range.persistence(last_kw[which])
    mean[which] = fallback_kw[:, :1]
    if prediction.quantiles is None:
        return Prediction(mean)
    quantiles = prediction.quantiles.copy()
    for i, level in enumerate(levels or ()):
        column = 1 if level == 0.5 else 2 if level < 0.5 else 3  # noqa: PLR2004 - the median
        quantiles[which, :, i] = fallback_kw[:, column, np.newaxis]
    return Prediction(mean, quantiles)
