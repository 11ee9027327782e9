"""Common first and last parts of the families' graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from gapcast.core.features import DERIVED, measured_in
from gapcast_trainer.families.base import Design

MEAN, QUANTILES = "mean", "quantiles"
_MIDDLE = 0.5
#: Biases of new layers: the width of a step between quantiles, a very small one, and an open gate.
_WIDTH, _SMALL_WIDTH, _OPEN = -2.0, -5.0, 3.0


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


def fine_power(kw: keras.KerasTensor, fine_kw: float) -> keras.KerasTensor:
    """Return ``log(1 + kw / fine_kw)`` of positive power, shifted and scaled to about -1 to 1."""
    drawn = keras.layers.ReLU(name="drawn")(kw)
    shifted = keras.layers.Rescaling(1 / fine_kw, 1.0, name="fine_scaled")(drawn)
    return keras.layers.Rescaling(1 / 3, -0.7, name="fine")(keras.ops.log(shifted))


def folded(steps: keras.KerasTensor, fold: int, name: str) -> keras.KerasTensor:
    """Return ``steps`` ``[N, T, C]`` as ``[N, T / fold, fold * C]``, so that an LSTM processes ``fold`` at a time."""
    if fold == 1:
        return steps
    n_steps, n_channels = steps.shape[1:]
    return keras.layers.Reshape((n_steps // fold, fold * n_channels), name=f"{name}_folded")(steps)


def beside(parts: Sequence[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Return ``parts`` ``[N, ...]`` concatenated."""
    return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name=name)(list(parts))


@dataclass(frozen=True, slots=True)
class RelativeExpert:
    """A second prediction in units of the window's own spread: ``features`` ``[N, A]`` and ``spread_kw`` ``[N, 1]``."""

    features: keras.KerasTensor
    spread_kw: keras.KerasTensor


def close(  # noqa: PLR0913 - the last ones by keyword
    name: str,
    window: keras.KerasTensor,
    design: Design,
    change: keras.KerasTensor,
    around: keras.KerasTensor | None = None,
    *,
    from_last: bool = True,
    relative: RelativeExpert | None = None,
) -> keras.Model:
    """Add the outputs to a graph.

    ``change`` ``[N, K]`` is the mean minus the last reading (minus ``mean_kw`` without
    ``from_last``), in units of ``scale_kw``; quantiles, if any, are computed from
    ``around`` ``[N, A]`` by dense layers. With a ``relative`` expert both are multiplied by gates between 0 and 1, and
    what it expects, in units of its spread, is added.
    """
    base_kw = power(window)[:, -1, :] if from_last else 0 * power(window)[:, -1, :] + design.scale.mean_kw
    change_kw = keras.layers.Rescaling(design.scale.scale_kw, name="change_kw")(change)
    around = change if around is None else around
    n_leads = len(design.task.lead_times_min)
    seen = None if relative is None else beside([around, relative.features], "seen_by_gates")
    if relative is not None:
        gate = _gate(n_leads, "change_gate")(seen)
        own = keras.layers.Dense(n_leads, kernel_initializer="zeros", name="relative_change")(relative.features)
        change_kw = gate * change_kw + own * relative.spread_kw
    outputs = {MEAN: keras.layers.Add(name=MEAN)([change_kw, base_kw])}
    if design.quantile_levels is not None:
        distances = _quantiles(around, design)
        distances_kw = keras.layers.Rescaling(design.scale.scale_kw, name="distances_kw")(distances)
        if relative is not None:
            gate = keras.layers.Reshape((n_leads, 1), name="gate_column")(_gate(n_leads, "distance_gate")(seen))
            unit_kw = keras.layers.Reshape((1, 1), name="spread_kw")(relative.spread_kw)
            own = _quantiles(relative.features, design, "relative_", least_width=_SMALL_WIDTH)
            distances_kw = gate * distances_kw + own * unit_kw
        base = keras.layers.Reshape((1, 1), name="base_kw")(base_kw)
        outputs[QUANTILES] = keras.layers.Add(name=QUANTILES)([distances_kw, base])
    return keras.Model(window, outputs, name=name.replace("-", "_"))


def _gate(n_leads: int, name: str) -> keras.layers.Dense:
    """Return a gate that is open at first."""
    return keras.layers.Dense(
        n_leads, activation="sigmoid", kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(_OPEN), name=name,
    )  # fmt: skip


def _quantiles(
    around: keras.KerasTensor, design: Design, prefix: str = "", least_width: float = _WIDTH
) -> keras.KerasTensor:
    """Return quantiles ``[N, K, Q]`` that cannot cross: the middle one, and positive steps away from it."""
    levels, n_leads = design.quantile_levels or (), len(design.task.lead_times_min)
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - _MIDDLE))
    centre = keras.layers.Dense(n_leads, kernel_initializer="zeros", name=f"{prefix}middle")(around)
    columns = {middle: keras.layers.Reshape((n_leads, 1), name=f"{prefix}middle_column")(centre)}
    for sign, indices in ((1, range(middle + 1, len(levels))), (-1, range(middle - 1, -1, -1))):
        for i in indices:
            step = keras.layers.Dense(
                n_leads, activation="elu", kernel_initializer="zeros",
                bias_initializer=keras.initializers.Constant(least_width), name=f"{prefix}step_{i}",
            )(around)  # fmt: skip
            width = keras.layers.Rescaling(sign, sign, name=f"{prefix}width_{i}")(step)  # elu(x) + 1 > 0
            column = keras.layers.Reshape((n_leads, 1), name=f"{prefix}column_{i}")(width)
            columns[i] = keras.layers.Add(name=f"{prefix}quantile_{i}")([columns[i - sign], column])
    return beside([columns[i] for i in range(len(levels))], f"{prefix}distances") if len(levels) > 1 else columns[0]
