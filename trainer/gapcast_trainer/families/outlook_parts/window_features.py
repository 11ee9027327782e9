"""Features of the window: changes, steps and their extremes, and the distances of the trunk's outputs."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import ops

from gapcast_trainer.families.parts.graph import (
    MEAN,
    QUANTILES,
    by_window,
    concatenate_parts,
    mean_of_minutes,
    step_maxima,
    step_means,
)

_N_LAGS, _STEP_MIN = 30, 10
#: Steps of five minutes on the fine scale.
_FINE_MIN, _N_FINE = 5, 6


@dataclass(frozen=True, slots=True)
class WindowFeatures:
    """``distances_kw`` ``[N, D]`` from the last reading, ``deviation_kw`` ``[N, 1]`` of the window.

    ``steps_kw`` ``[N, S]`` are the newest powers to show on a fine scale.
    """

    distances_kw: keras.KerasTensor
    steps_kw: keras.KerasTensor
    deviation_kw: keras.KerasTensor


def window_features(kw: keras.KerasTensor, body: dict[str, keras.KerasTensor]) -> WindowFeatures:
    """Return the features of the power ``kw`` ``[context, N]`` and of the outputs of ``body`` for it."""
    last = kw[-1:, :]
    steps = [step_means(kw, _STEP_MIN), step_maxima(kw, _STEP_MIN), -step_maxima(-kw, _STEP_MIN)]
    distances = by_window([part - last for part in (kw[-1 - _N_LAGS : -1, :], *steps)])
    last_kw = by_window([last])
    quantiles = keras.layers.Flatten(name="body_quantiles")(body[QUANTILES])
    fine = step_means(kw[-_FINE_MIN * _N_FINE :, :], _FINE_MIN)
    mean_kw = ops.transpose(mean_of_minutes(kw, "window_mean_kw"))
    return WindowFeatures(
        distances_kw=concatenate_parts([distances, quantiles - last_kw, body[MEAN] - last_kw], "window_distances"),
        steps_kw=by_window([last, fine]),
        deviation_kw=ops.mean(ops.absolute(ops.transpose(kw) - mean_kw), axis=1, keepdims=True),
    )
