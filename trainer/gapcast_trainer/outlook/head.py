"""The trainable part of the outlook model: two experts over the features, and quantiles that cannot cross."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import ops

from gapcast_trainer.families.graph import beside

_MIDDLE = 0.5
#: Biases of new layers: the widths between quantiles, very small ones, and open gates.
_WIDTH, _SMALL_WIDTH, _OPEN = -1.0, -4.0, 3.0
#: Inputs of the head, by name.
ABSOLUTE, RELATIVE, SPREAD, BASE = "absolute", "relative", "spread_kw", "base_kw"
COLUMNS = "columns"


@dataclass(frozen=True, slots=True)
class HeadSize:
    """Units of the layers: the first and the second of the absolute expert, and of the relative one.

    ``dropout`` follows the first layer of each expert in training (Srivastava et al. 2014).
    """

    wide: int
    dense: int
    relative: int
    dropout: float = 0.0


def build_head(
    n_absolute: int, n_relative: int, n_columns: int, levels: tuple[float, ...], size: HeadSize, scale_kw: float
) -> keras.Model:
    """Return the head: features ``[N, A]``, ``[N, R]``, a spread ``[N, 1]`` and a base ``[N, C]``, kW, to columns.

    The output ``columns`` ``[N, C, 1 + Q]`` holds, for each of C quantities, its mean and its quantiles, kW. What the
    absolute expert expects, in units of ``scale_kw``, is multiplied by gates between 0 and 1; what the relative one
    expects, in units of the spread, is added.
    """
    absolute = keras.Input((n_absolute,), name=ABSOLUTE)
    relative = keras.Input((n_relative,), name=RELATIVE)
    spread_kw, base_kw = keras.Input((1,), name=SPREAD), keras.Input((n_columns,), name=BASE)
    wide = keras.layers.Dropout(size.dropout, name="outlook_dropout")(_dense(size.wide, "outlook_wide")(absolute))
    joined = _dense(size.dense, "outlook_dense")(wide)
    own = _dense(size.relative, "outlook_relative_wide")(relative)
    own = keras.layers.Dropout(size.dropout, name="outlook_relative_dropout")(own)
    own = _dense(size.relative, "outlook_relative_dense")(beside([own, joined], "outlook_joined"))
    seen = beside([joined, own], "outlook_seen")
    gates = keras.layers.Dense(
        2 * n_columns, activation="sigmoid", kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(_OPEN), name="outlook_gates",
    )(seen)  # fmt: skip
    gates = keras.layers.Reshape((n_columns, 2), name="outlook_gate_columns")(gates)
    gates = beside([gates[:, :, :1], *[gates[:, :, 1:]] * len(levels)], "outlook_gates_of_all")
    change = _columns(joined, n_columns, levels, _WIDTH, "outlook_absolute") * scale_kw
    more = _columns(own, n_columns, levels, _SMALL_WIDTH, "outlook_own")
    unit_kw = keras.layers.Reshape((1, 1), name="outlook_unit_kw")(spread_kw)
    base = keras.layers.Reshape((n_columns, 1), name="outlook_base_kw")(base_kw)
    columns = keras.layers.Add(name=COLUMNS)([gates * change + more * unit_kw, base])
    return keras.Model([absolute, relative, spread_kw, base_kw], columns, name="outlook_head")


def _dense(units: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, activation="relu", name=name)


def _columns(
    features: keras.KerasTensor, n_columns: int, levels: tuple[float, ...], width: float, name: str
) -> keras.KerasTensor:
    """Return means and quantiles ``[N, C, 1 + Q]``: the middle one, and positive steps away from it."""
    n_levels = len(levels)
    centres = keras.layers.Dense(2 * n_columns, kernel_initializer="zeros", name=f"{name}_centre")(features)
    centres = keras.layers.Reshape((n_columns, 2), name=f"{name}_centre_columns")(centres)
    mean, middle_value = centres[:, :, :1], centres[:, :, 1:]
    if n_levels == 1:
        return ops.concatenate([mean, middle_value], axis=2)
    steps = keras.layers.Dense(
        (n_levels - 1) * n_columns, activation="elu", kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(width), name=f"{name}_steps",
    )(features)  # fmt: skip
    widths = keras.layers.Reshape((n_columns, n_levels - 1), name=f"{name}_step_columns")(steps) + 1  # elu(x) + 1 > 0
    middle = min(range(n_levels), key=lambda i: abs(levels[i] - _MIDDLE))
    found = {middle: middle_value}
    for i in range(middle + 1, n_levels):
        found[i] = found[i - 1] + widths[:, :, i - 1 : i]
    for i in range(middle - 1, -1, -1):
        found[i] = found[i + 1] - widths[:, :, i : i + 1]
    return ops.concatenate([mean, *(found[i] for i in range(n_levels))], axis=2)
