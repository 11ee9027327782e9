"""Common first and last parts of the families' graphs."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from gapcast.core.features import DERIVED, measured_in
from gapcast_trainer.families.base import Design

MEAN, QUANTILES = "mean", "quantiles"
_MIDDLE = 0.5


def window_input(design: Design) -> keras.KerasTensor:
    """Return the input: physical units, oldest first, ``[N, context, F]``, any N."""
    shape = (design.task.window.context, len(design.task.features))
    return keras.Input(shape, name="window", dtype="float32")


def power(window: keras.KerasTensor) -> keras.KerasTensor:
    """Return the power, kW, ``[N, context, 1]``."""
    return window if window.shape[2] == 1 else window[:, :, :1]


def scaled(kw: keras.KerasTensor, design: Design, name: str = "scaled") -> keras.KerasTensor:
    """Return the standardised power."""
    scale = design.scale
    return keras.layers.Rescaling(1 / scale.scale_kw, -scale.mean_kw / scale.scale_kw, name=name)(kw)


def anchored(kw: keras.KerasTensor, design: Design, share: float) -> keras.KerasTensor:
    """Return the scaled distance of each minute from an anchor between the last reading and the mean.

    With ``share`` 1 the anchor is the last reading, and layers see only changes; with 0 it is
    ``mean_kw``, and layers see the level. In between one feature carries both: the last minute
    the level, the others their difference to the last.
    """
    scale = design.scale
    distance_kw = kw - (share * kw[:, -1:, :] + (1 - share) * scale.mean_kw)
    return keras.layers.Rescaling(1 / scale.scale_kw, name="anchored")(distance_kw)


def others(window: keras.KerasTensor, design: Design) -> keras.KerasTensor | None:
    """Return the other measured features, each normalised over its window, ``[N, context, M - 1]``, or None."""
    n_measured = len(measured_in(design.task.features))
    if n_measured == 1:
        return None
    return keras.layers.LayerNormalization(axis=1, center=False, scale=False, epsilon=1e-4, name="others")(
        window[:, :, 1:n_measured]
    )


def clock(window: keras.KerasTensor, design: Design) -> list[keras.KerasTensor]:
    """Return the derived features of the newest minute, ``[N, D]``, in a list, which is empty without them."""
    n_derived = sum(name in DERIVED for name in design.task.features)
    return [window[:, -1, -n_derived:]] if n_derived else []


def beside(parts: Sequence[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Return ``parts`` ``[N, ...]`` concatenated."""
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name=name)(list(parts))


def close(
    name: str,
    window: keras.KerasTensor,
    design: Design,
    change: keras.KerasTensor,
    around: keras.KerasTensor | None = None,
    *,
    from_last: bool = True,
) -> keras.Model:
    """Add the outputs to a graph.

    ``change`` ``[N, K]`` is the mean minus the last reading (minus ``mean_kw`` without
    ``from_last``), in units of ``scale_kw``; quantiles, if any, are computed from
    ``around`` ``[N, A]`` by dense layers.
    """
    base_kw = power(window)[:, -1, :] if from_last else 0 * power(window)[:, -1, :] + design.scale.mean_kw
    change_kw = keras.layers.Rescaling(design.scale.scale_kw, name="change_kw")(change)
    outputs = {MEAN: keras.layers.Add(name=MEAN)([change_kw, base_kw])}
    if design.quantile_levels is not None:
        distances = _quantiles(change if around is None else around, design)
        distances_kw = keras.layers.Rescaling(design.scale.scale_kw, name="distances_kw")(distances)
        base = keras.layers.Reshape((1, 1), name="base_kw")(base_kw)
        outputs[QUANTILES] = keras.layers.Add(name=QUANTILES)([distances_kw, base])
    return keras.Model(window, outputs, name=name.replace("-", "_"))


def _quantiles(around: keras.KerasTensor, design: Design) -> keras.KerasTensor:
    """Return quantiles ``[N, K, Q]`` that cannot cross: the middle one, and positive steps away from it."""
    levels, n_leads = design.quantile_levels or (), len(design.task.lead_times_min)
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - _MIDDLE))
    centre = keras.layers.Dense(n_leads, kernel_initializer="zeros", name="middle")(around)
    columns = {middle: keras.layers.Reshape((n_leads, 1), name="middle_column")(centre)}
    for sign, indices in ((1, range(middle + 1, len(levels))), (-1, range(middle - 1, -1, -1))):
        for i in indices:
            step = keras.layers.Dense(
                n_leads, activation="elu", kernel_initializer="zeros",
                bias_initializer=keras.initializers.Constant(-2.0), name=f"step_{i}",
            )(around)  # fmt: skip
            width = keras.layers.Rescaling(sign, sign, name=f"width_{i}")(step)  # elu(x) + 1 > 0
            column = keras.layers.Reshape((n_leads, 1), name=f"column_{i}")(width)
            columns[i] = keras.layers.Add(name=f"quantile_{i}")([columns[i - sign], column])
    return beside([columns[i] for i in range(len(levels))], "distances") if len(levels) > 1 else columns[0]
