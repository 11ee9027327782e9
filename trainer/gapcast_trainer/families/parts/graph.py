"""Common first parts of the families' graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras

from gapcast.core.windows.features import DERIVED, measured_in
from gapcast_trainer.families.parts.base import Design

MEAN, QUANTILES = "mean", "quantiles"


def window_input(design: Design) -> keras.KerasTensor:
    """Return the input: physical units, oldest first, ``[N, context, F]``, any N."""
    shape = (design.task.window.context, len(design.task.features))
    return keras.Input(shape, name="window", dtype="float32")


def power(window: keras.KerasTensor) -> keras.KerasTensor:
    """Return the power, kW, ``[N, context, 1]``."""
    return window if window.shape[2] == 1 else window[:, :, :1]


def power_by_minute(window: keras.KerasTensor) -> keras.KerasTensor:
    """Return the power, kW, ``[context, N]``: a row for each minute, a column for each window.

    When minutes are selected, pooled or interleaved, the runtime's kernels then work on whole rows of windows instead
    of single values, with the same results. For the same reason the first feature is a row of the transposed input:
    slicing it out of each minute takes three times as long.
    """
    context, n_features = window.shape[1:]
    by_feature = keras.ops.transpose(keras.ops.reshape(window, (-1, n_features)))
    return by_minute(keras.ops.reshape(by_feature[:1, :], (-1, context)))


def by_minute(values: keras.KerasTensor) -> keras.KerasTensor:
    """Return ``values`` ``[N, T]`` as ``[T, N]``."""
    return keras.ops.transpose(values)


def mean_of_minutes(minutes: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Return the mean of all ``minutes`` ``[T, N]``, ``[1, N]``."""
    series = keras.ops.reshape(minutes, (1, minutes.shape[0], -1))
    return keras.layers.GlobalAveragePooling1D(name=name)(series)


def exact_mean(minutes: keras.KerasTensor) -> keras.KerasTensor:
    """Return the mean of all ``minutes`` ``[T, N]``, ``[1, N]``, as the sum of sums.

    A running sum of all minutes in single precision, as in :func:`mean_of_minutes`, has ten times the rounding error.
    """
    n_minutes = minutes.shape[0]
    n = max(n for n in range(1, math.isqrt(n_minutes) + 1) if n_minutes % n == 0)
    sums = keras.ops.sum(keras.ops.reshape(minutes, (n, n_minutes // n, -1)), axis=1)
    return keras.ops.sum(sums, axis=0, keepdims=True) * (1 / n_minutes)


def step_means(minutes: keras.KerasTensor, step_min: int) -> keras.KerasTensor:
    """Return the means of ``step_min`` minutes each of ``minutes`` ``[T, N]``, ``[T / step_min, N]``."""
    return _pooled(keras.ops.average_pool, minutes, step_min)


def step_maxima(minutes: keras.KerasTensor, step_min: int) -> keras.KerasTensor:
    """Return the maxima of ``step_min`` minutes each of ``minutes`` ``[T, N]``, ``[T / step_min, N]``."""
    return _pooled(keras.ops.max_pool, minutes, step_min)


def _pooled(pool: Callable[..., keras.KerasTensor], minutes: keras.KerasTensor, step_min: int) -> keras.KerasTensor:
    n_minutes = minutes.shape[0]
    image = keras.ops.reshape(minutes, (1, 1, n_minutes, -1))  # a pixel for each minute, a channel for each window
    found = pool(image, (1, step_min), (1, step_min), data_format="channels_last")
    return keras.ops.reshape(found, (n_minutes // step_min, -1))


def moving_mean(minutes: keras.KerasTensor, n_min: int) -> keras.KerasTensor:
    """Return the means of each ``n_min`` successive minutes of ``minutes`` ``[T, N]``, ``[T - n_min + 1, N]``."""
    image = keras.ops.reshape(minutes, (1, 1, minutes.shape[0], -1))
    found = keras.ops.average_pool(image, (1, n_min), (1, 1), data_format="channels_last")
    return keras.ops.reshape(found, (minutes.shape[0] - n_min + 1, -1))


def interleaved(channels: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """Return C ``channels`` ``[T, N]`` as ``[T, C, N]``."""
    n_minutes = channels[0].shape[0]
    parts = [keras.ops.reshape(channel, (n_minutes, 1, -1)) for channel in channels]
    return parts[0] if len(parts) == 1 else keras.ops.concatenate(parts, axis=1)


def by_window(rows: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """Return ``rows``, each ``[T, N]``, as the features ``[N, F]`` of each window."""
    return keras.ops.transpose(rows[0] if len(rows) == 1 else keras.ops.concatenate(list(rows), axis=0))


def scaled(kw: keras.KerasTensor, design: Design) -> keras.KerasTensor:
    """Return the standardised power."""
    scale = design.scale
    return keras.layers.Rescaling(1 / scale.scale_kw, -scale.mean_kw / scale.scale_kw, name="scaled")(kw)


def anchored(kw: keras.KerasTensor, design: Design, share: float) -> keras.KerasTensor:
    """Return the scaled distance of each minute from an anchor between the last reading and the mean.

    With ``share`` 1 the anchor is the last reading, and layers see only changes; with 0 it is ``mean_kw``, and layers
    see the level. In between, one feature has both: the last minute contains the level, and the others their difference
    from the last.
    """
    scale = design.scale
    distance_kw = kw - (share * kw[:, -1:, :] + (1 - share) * scale.mean_kw)
    return keras.layers.Rescaling(1 / scale.scale_kw, name="anchored")(distance_kw)


def others(window: keras.KerasTensor, design: Design) -> keras.KerasTensor | None:
    """Return the other measured features, each normalised over its window, ``[N, context, M - 1]``, or None.

    The newest value is subtracted first: the variance of values such as 230 V is inaccurate in single precision.
    """
    n_measured = len(measured_in(design.task.features))
    if n_measured == 1:
        return None
    return keras.layers.LayerNormalization(axis=1, center=False, scale=False, epsilon=1e-4, name="others")(
        window[:, :, 1:n_measured] - window[:, -1:, 1:n_measured]
    )


def clock(window: keras.KerasTensor, design: Design) -> list[keras.KerasTensor]:
    """Return the derived features of the newest minute, ``[N, D]``, in a list, which is empty without them."""
    n_derived = sum(name in DERIVED for name in design.task.features)
    return [window[:, -1, -n_derived:]] if n_derived else []


def fine_power(kw: keras.KerasTensor, fine_kw: float) -> keras.KerasTensor:
    """Return ``log(1 + kw / fine_kw)`` of positive power, shifted and scaled to about -1 to 1."""
    drawn = keras.layers.ReLU(name="drawn")(kw)
    shifted = keras.layers.Rescaling(1 / fine_kw, 1.0, name="fine_scaled")(drawn)
    return keras.layers.Rescaling(1 / 3, -0.7, name="fine")(keras.ops.log(shifted))


def folded(steps: keras.KerasTensor, fold: int) -> keras.KerasTensor:
    """Return ``steps`` ``[T, C, N]`` as ``[N, T / fold, fold * C]``, so that an LSTM processes ``fold`` at a time."""
    n_steps, n_channels = steps.shape[:2]
    by_window = keras.ops.transpose(keras.ops.reshape(steps, (n_steps * n_channels, -1)))
    return keras.ops.reshape(by_window, (-1, n_steps // fold, fold * n_channels))


def concatenate_parts(parts: Sequence[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Return ``parts`` ``[N, ...]`` concatenated."""
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name=name)(list(parts))
