"""Features of the window: changes, steps and their extremes, and the distances of the body's outputs."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import ops

from gapcast_trainer.families.graph import MEAN, QUANTILES, beside

_N_LAGS, _STEP_MIN = 30, 10
#: Steps of five minutes on the fine scale.
_FINE_MIN, _N_FINE = 5, 6


@dataclass(frozen=True, slots=True)
class WindowFeatures:
    """``distances_kw`` ``[N, D]`` from the last reading, ``deviation_kw`` and ``mean_kw`` ``[N, 1]`` of the window.

    ``steps_kw`` ``[N, S]`` are the newest powers to be shown on a fine scale.
    """

    distances_kw: keras.KerasTensor
    steps_kw: keras.KerasTensor
    deviation_kw: keras.KerasTensor
    mean_kw: keras.KerasTensor


def window_features(kw: keras.KerasTensor, body: dict[str, keras.KerasTensor]) -> WindowFeatures:
    """Return the features of the power ``kw`` ``[N, context, 1]`` and of the outputs of ``body`` for it."""
    last = kw[:, -1:, :]
    steps = [
        keras.layers.AveragePooling1D(_STEP_MIN, name="step_mean")(kw),
        keras.layers.MaxPooling1D(_STEP_MIN, name="step_most")(kw),
        -keras.layers.MaxPooling1D(_STEP_MIN, name="step_least")(-kw),
    ]
    parts = [kw[:, -1 - _N_LAGS : -1, :], *steps]
    distances = [keras.layers.Flatten(name=f"window_{place}")(part - last) for place, part in enumerate(parts)]
    distances += [keras.layers.Flatten(name="body_quantiles")(body[QUANTILES] - last), body[MEAN] - last[:, 0, :]]
    fine = keras.layers.AveragePooling1D(_FINE_MIN, name="fine_mean")(kw[:, -_FINE_MIN * _N_FINE :, :])
    mean = ops.mean(kw, axis=1)
    return WindowFeatures(
        distances_kw=beside(distances, "window_distances"),
        steps_kw=beside([kw[:, -1, :], fine[:, :, 0]], "window_steps"),
        deviation_kw=ops.mean(ops.absolute(kw[:, :, 0] - mean), axis=1, keepdims=True),
        mean_kw=mean,
    )
