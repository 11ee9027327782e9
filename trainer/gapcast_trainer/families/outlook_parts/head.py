"""The trainable part of the outlook model: two experts over the features, and quantiles that cannot cross."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from gapcast_trainer.families.parts.graph import concatenate_parts
from gapcast_trainer.families.parts.outputs import as_rows, columns, open_gates, quantiles

#: Biases of new layers: for the widths between quantiles, and for very small widths.
_WIDTH, _SMALL_WIDTH = -1.0, -4.0
#: Inputs of the head, by name.
ABSOLUTE, RELATIVE, SPREAD, BASE = "absolute", "relative", "spread_kw", "base_kw"
COLUMNS = "columns"


@dataclass(frozen=True, slots=True)
class HeadSize:
    """Units of the layers: the first and the second layer of the absolute expert, and of the relative expert.

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

    The output ``columns`` ``[N, C, 1 + Q]`` holds, for each of C quantities, its mean and its quantiles, kW. The
    prediction of the absolute expert, in units of ``scale_kw``, is multiplied by gates between 0 and 1; the prediction
    of the relative expert, in units of the spread, is added.
    """
    absolute = keras.Input((n_absolute,), name=ABSOLUTE)
    relative = keras.Input((n_relative,), name=RELATIVE)
    spread_kw, base_kw = keras.Input((1,), name=SPREAD), keras.Input((n_columns,), name=BASE)
    wide = keras.layers.Dropout(size.dropout, name="outlook_dropout")(_dense(size.wide, "outlook_wide")(absolute))
    joined = _dense(size.dense, "outlook_dense")(wide)
    own = _dense(size.relative, "outlook_relative_wide")(relative)
    own = keras.layers.Dropout(size.dropout, name="outlook_relative_dropout")(own)
    own = _dense(size.relative, "outlook_relative_dense")(concatenate_parts([own, joined], "outlook_joined"))
    seen = concatenate_parts([joined, own], "outlook_seen")
    of_mean, of_quantiles = open_gates(seen, n_columns, 2, "outlook_gates")
    gates = as_rows([of_mean, *[of_quantiles] * len(levels)], "outlook_gate_rows")
    change = _forecast_rows(joined, n_columns, levels, _WIDTH, "outlook_absolute") * scale_kw
    more = _forecast_rows(own, n_columns, levels, _SMALL_WIDTH, "outlook_own")
    unit_kw = keras.layers.Reshape((1, 1), name="outlook_unit_kw")(spread_kw)
    base = keras.layers.Reshape((1, n_columns), name="outlook_base_kw")(base_kw)
    rows = keras.layers.Add(name="outlook_rows")([gates * change + more * unit_kw, base])
    found = keras.layers.Permute((2, 1), name=COLUMNS)(rows)
    return keras.Model([absolute, relative, spread_kw, base_kw], found, name="outlook_head")


def _dense(units: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, activation="relu", name=name)


def _forecast_rows(
    features: keras.KerasTensor, n_columns: int, levels: tuple[float, ...], width: float, name: str
) -> keras.KerasTensor:
    """Return a row of means and a row for each of Q quantiles, ``[N, 1 + Q, C]``."""
    its = columns(features, n_columns, 2, levels, width, name)
    return as_rows([its.centres[0], *quantiles(its, levels)], f"{name}_rows")
