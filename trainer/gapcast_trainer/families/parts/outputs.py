"""The common last part of the families' graphs: the mean, and quantiles that cannot cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from gapcast_trainer.families.parts.base import Design
from gapcast_trainer.families.parts.graph import MEAN, QUANTILES, concatenate_parts

_MIDDLE = 0.5
#: Biases of new layers: for the width of a step between quantiles, for a very small width, and for two open gates.
_WIDTH, _SMALL_WIDTH, _OPEN, _WIDE_OPEN = -2.0, -5.0, 3.0, 4.0
#: Limit of the forecasts that analogs correct, in units of the spread.
_LIMIT = 8.0


@dataclass(frozen=True, slots=True)
class RelativeExpert:
    """A second prediction in units of the window's own spread: ``features`` ``[N, A]`` and ``spread_kw`` ``[N, 1]``."""

    features: keras.KerasTensor
    spread_kw: keras.KerasTensor


@dataclass(frozen=True, slots=True)
class AnalogExpert:
    """A third prediction: a correction of the others from ``features`` ``[N, A]``, by two layers of ``units``."""

    features: keras.KerasTensor
    spread_kw: keras.KerasTensor
    units: int


def close(  # noqa: PLR0913 - the last ones by keyword
    name: str,
    window: keras.KerasTensor,
    design: Design,
    change: keras.KerasTensor,
    around: keras.KerasTensor | None = None,
    *,
    from_last: bool = True,
    relative: RelativeExpert | None = None,
    analogs: AnalogExpert | None = None,
) -> keras.Model:
    """Add the outputs to a graph.

    ``change`` ``[N, K]`` is the mean minus the last reading (minus ``mean_kw`` without ``from_last``), in units of
    ``scale_kw``; quantiles, if any, are computed from ``around`` ``[N, A]`` by dense layers. With a ``relative`` expert
    both are multiplied by gates between 0 and 1, and the expert's prediction, in units of its spread, is added. The
    expert of ``analogs``, which requires quantiles, receives the result, and corrects it in the same way.
    """
    last_kw = window[:, -1, :1]
    base_kw = last_kw if from_last else 0 * last_kw + design.scale.mean_kw
    change_kw = keras.layers.Rescaling(design.scale.scale_kw, name="change_kw")(change)
    around = change if around is None else around
    n_leads, levels = len(design.task.lead_times_min), design.quantile_levels
    gates, own = [], Columns([], [])
    if relative is not None:
        n_centres = 1 if levels is None else 2
        gates = open_gates(concatenate_parts([around, relative.features], "seen_by_gates"), n_leads, n_centres, "gates")
        own = columns(relative.features, n_leads, n_centres, levels or (), _SMALL_WIDTH, "relative_columns")
        change_kw = gates[0] * change_kw + own.centres[0] * relative.spread_kw
    distances_kw = None
    if levels is not None:
        distances = as_rows(quantiles(columns(around, n_leads, 1, levels, _WIDTH, "columns"), levels), "distances")
        distances_kw = keras.layers.Rescaling(design.scale.scale_kw, name="distances_kw")(distances)
        if relative is not None:
            unit_kw = keras.layers.Reshape((1, 1), name="spread_kw")(relative.spread_kw)
            gate = keras.layers.Reshape((1, n_leads), name="gate_row")(gates[1])
            own_distances = as_rows(quantiles(own, levels), "relative_distances")
            distances_kw = gate * distances_kw + own_distances * unit_kw
        if analogs is not None:
            change_kw, distances_kw = _corrected(change_kw, distances_kw, analogs, levels)
    outputs = {MEAN: keras.layers.Add(name=MEAN)([change_kw, base_kw])}
    if distances_kw is not None:
        base = keras.layers.Reshape((1, 1), name="base_kw")(base_kw)
        total = keras.layers.Add(name="quantile_rows")([distances_kw, base])
        outputs[QUANTILES] = keras.layers.Permute((2, 1), name=QUANTILES)(total)
    return keras.Model(window, outputs, name=name.replace("-", "_"))


def _corrected(
    change_kw: keras.KerasTensor, distances_kw: keras.KerasTensor, analogs: AnalogExpert, levels: tuple[float, ...]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the change ``[N, K]`` and the distances ``[N, R, K]`` of the quantiles, corrected by analogs."""
    n_quantiles, n_leads = distances_kw.shape[1:]
    rows_kw = keras.layers.Reshape((n_quantiles * n_leads,), name="corrected_rows")(distances_kw)
    known = ops.clip(concatenate_parts([change_kw, rows_kw], "corrected") / analogs.spread_kw, -_LIMIT, _LIMIT)
    hidden = concatenate_parts([analogs.features, known], "analog_inputs")
    for name in ("analog_wide", "analog_dense"):
        hidden = keras.layers.Dense(analogs.units, activation="relu", name=name)(hidden)
    gates = open_gates(hidden, n_leads, 2, "analog_gates", _WIDE_OPEN)
    own = columns(hidden, n_leads, 2, levels, _SMALL_WIDTH, "analog_columns")
    gate = keras.layers.Reshape((1, n_leads), name="analog_gate_row")(gates[1])
    unit_kw = keras.layers.Reshape((1, 1), name="analog_spread_kw")(analogs.spread_kw)
    added = as_rows(quantiles(own, levels), "analog_distances")
    return gates[0] * change_kw + own.centres[0] * analogs.spread_kw, gate * distances_kw + added * unit_kw


@dataclass(frozen=True, slots=True)
class Columns:
    """The outputs of one dense layer for K quantities: ``centres`` and positive ``widths``, each ``[N, K]``."""

    centres: list[keras.KerasTensor]
    widths: list[keras.KerasTensor]


def columns(
    features: keras.KerasTensor, n: int, n_centres: int, levels: tuple[float, ...], width: float, name: str
) -> Columns:
    """Return ``n_centres`` centres of ``n`` quantities, and widths between neighbouring ``levels``, from one layer.

    A single layer with a block of units for each of them leaves one operator in the file instead of a dozen.
    """
    n_widths = max(len(levels) - 1, 0)

    def bias(shape: Sequence[int], dtype: str | None = None) -> Any:
        return ops.convert_to_tensor(np.repeat((0.0, width), (n_centres * n, n_widths * n)), dtype=dtype)

    units = (n_centres + n_widths) * n
    values = keras.layers.Dense(units, kernel_initializer="zeros", bias_initializer=bias, name=name)(features)
    centres = [values[:, place * n : (place + 1) * n] for place in range(n_centres)]
    if not n_widths:
        return Columns(centres, [])
    positive = ops.elu(values[:, n_centres * n :]) + 1  # elu(x) + 1 > 0
    return Columns(centres, [positive[:, place * n : (place + 1) * n] for place in range(n_widths)])


def quantiles(its: Columns, levels: tuple[float, ...]) -> list[keras.KerasTensor]:
    """Return quantiles, each ``[N, K]``, that cannot cross: the last centre in the middle, and steps away from it.

    The first widths are for the steps up, the others for the steps down, each from the middle.
    """
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - _MIDDLE))
    found, widths = {middle: its.centres[-1]}, iter(its.widths)
    for i in range(middle + 1, len(levels)):
        found[i] = found[i - 1] + next(widths)
    for i in range(middle - 1, -1, -1):
        found[i] = found[i + 1] - next(widths)
    return [found[i] for i in range(len(levels))]


def as_rows(parts: Sequence[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Return R ``parts``, each ``[N, K]``, as the rows of ``[N, R, K]``."""
    return keras.layers.Reshape((len(parts), parts[0].shape[1]), name=name)(concatenate_parts(parts, f"{name}_joined"))


def open_gates(
    features: keras.KerasTensor, n: int, n_gates: int, name: str, bias: float = _OPEN
) -> list[keras.KerasTensor]:
    """Return ``n_gates`` gates ``[N, n]``, between 0 and 1, that are open at first, from one layer."""
    found = keras.layers.Dense(
        n_gates * n, activation="sigmoid", kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(bias), name=name,
    )(features)  # fmt: skip
    return [found[:, place * n : (place + 1) * n] for place in range(n_gates)]
