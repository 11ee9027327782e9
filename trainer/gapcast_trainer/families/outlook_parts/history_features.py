"""Features of the history: a week of quarter-hour means, as parts of a Keras graph of TFLite builtins.

All are distances in kW from the last reading. Days ago are counted in elapsed time, so that after a clock change they
are an hour off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from gapcast.core.streams.quarters import STEP_MIN, STEPS
from gapcast_trainer.families.outlook_parts.alignment import DAYS, QUARTERS_A_DAY, span_weights
from gapcast_trainer.families.parts.graph import concatenate_parts

#: Spans whose mean is compared over the days: the next L minutes, and a quarter around minute L.
_NEXT_MIN = (5, 15, 30, 60)
_AROUND_MIN = (15, 30, 45, 60)
_SPANS = (*((0, lead) for lead in _NEXT_MIN), *((lead - 8, lead + 7) for lead in _AROUND_MIN))
_N_QUARTERS = 6
#: The newest quarters individually, and earlier quarters in steps of four.
_N_NEWEST, _N_HOURS = 20, 6
#: Number of quarters before and after now in the mean day's profile.
_N_AROUND = 8
#: Cosine of the angle between neighbouring minutes of a quarter.
_NEIGHBOUR = math.cos(2 * math.pi / STEP_MIN)
#: Maximum length of the vector of sine and cosine: above 1 by more than rounding.
_LONGEST = 1.01


@dataclass(frozen=True, slots=True)
class HistoryFeatures:
    """``distances_kw`` ``[N, D]`` from the last reading, ``widths_kw`` ``[N, E]``, positive, and the week's spread.

    ``deviation_kw`` and ``mean_kw`` ``[N, 1]`` are the mean absolute deviation and the mean of the week's quarters.
    """

    distances_kw: keras.KerasTensor
    widths_kw: keras.KerasTensor
    deviation_kw: keras.KerasTensor
    mean_kw: keras.KerasTensor


def history_features(
    history: keras.KerasTensor, clock: keras.KerasTensor, last_kw: keras.KerasTensor
) -> HistoryFeatures:
    """Return the features of ``history`` ``[N, 672]``, kW, oldest first.

    ``clock`` ``[N, 2]`` is sine and cosine of the time of day of the observed minute, ``last_kw`` ``[N, 1]`` its power.
    """
    weights = span_weights(_SPANS, _N_QUARTERS).reshape(STEP_MIN, -1)
    shares = ops.reshape(ops.matmul(minute_of_quarter(clock), weights), (-1, _N_QUARTERS, len(_SPANS)))
    days = keras.layers.Reshape((DAYS, QUARTERS_A_DAY), name="history_days")(history)
    same = ops.matmul(days[:, :, :_N_QUARTERS], shares)  # [N, 7, spans]
    same_mean, same_width = _mean_and_width(same)
    hour = same[:, :, len(_NEXT_MIN) - 1]
    before = days[:, : DAYS - 1, QUARTERS_A_DAY - _N_AROUND :]  # before now, 6 days ago to yesterday
    profile = ops.concatenate([ops.mean(before, axis=1), ops.mean(days[:, 1:, :_N_AROUND], axis=1)], axis=1)
    newest = history[:, STEPS - _N_NEWEST :]
    older = history[:, STEPS - _N_NEWEST - 4 * _N_HOURS : STEPS - _N_NEWEST]
    hours = ops.mean(ops.reshape(older, (-1, _N_HOURS, 4)), axis=2)
    day = days[:, DAYS - 1, :]
    week_mean, day_mean = ops.mean(history, axis=1, keepdims=True), ops.mean(day, axis=1, keepdims=True)
    least, most = ops.min(day, axis=1, keepdims=True), ops.max(day, axis=1, keepdims=True)
    levels = [
        same[:, DAYS - 1, :], same[:, 0, :], same_mean, hour, ops.max(same, axis=1)[:, 2:4], profile, newest, hours,
        week_mean, day_mean, least, most,
    ]  # fmt: skip
    daily = ops.mean(ops.absolute(days - ops.mean(days, axis=2, keepdims=True)), axis=2)
    deviation = ops.mean(ops.absolute(history - week_mean), axis=1, keepdims=True)
    change = ops.mean(ops.absolute(history[:, 1:] - history[:, :-1]), axis=1, keepdims=True)
    return HistoryFeatures(
        distances_kw=concatenate_parts(levels, "history_levels") - last_kw,
        widths_kw=concatenate_parts([same_width, daily, deviation, change], "history_widths"),
        deviation_kw=deviation,
        mean_kw=week_mean,
    )


def _mean_and_width(days_kw: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the mean over the days of ``days_kw`` ``[N, 7, S]`` and the mean distance from it, ``[N, S]``."""
    mean = ops.mean(days_kw, axis=1, keepdims=True)
    return mean[:, 0, :], ops.mean(ops.absolute(days_kw - mean), axis=1)


def minute_of_quarter(clock: keras.KerasTensor) -> keras.KerasTensor:
    """Return the position in its quarter-hour (0 to 14) of the minute after the observed one, one-hot ``[N, 15]``.

    ``clock`` holds sine and cosine of the time of day. As a complex number its 96th power turns once in 15 minutes, in
    each time zone, because zone offsets are whole quarters. A longer vector, which is not a time of day, is shortened
    first, because its power would overflow.
    """
    length = ops.sqrt(ops.sum(clock * clock, axis=1, keepdims=True))
    limited = clock / ops.maximum(length / _LONGEST, 1.0)
    sine, cosine = limited[:, 0:1], limited[:, 1:2]
    for _ in range(5):
        sine, cosine = 2 * sine * cosine, cosine * cosine - sine * sine
    double_sine, double_cosine = 2 * sine * cosine, cosine * cosine - sine * sine
    sine, cosine = sine * double_cosine + cosine * double_sine, cosine * double_cosine - sine * double_sine
    angle = 2 * np.pi * (np.arange(STEP_MIN) - 1) / STEP_MIN
    alike = sine * np.sin(angle).astype(np.float32) + cosine * np.cos(angle).astype(np.float32)
    return ops.relu((alike - _NEIGHBOUR - 0.01) / (0.99 - _NEIGHBOUR))
