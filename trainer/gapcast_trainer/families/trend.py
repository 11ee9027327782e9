"""Linear extrapolation of the window to each lead time, as a model file."""

from __future__ import annotations

from typing import Annotated

import keras
import numpy as np
from pydantic import Field

from gapcast.core.arrays.array_types import F32
from gapcast_trainer.families.parts.base import Design, Family, Hyper
from gapcast_trainer.families.parts.graph import power, window_input
from gapcast_trainer.families.parts.outputs import close


class TrendHyper(Hyper):
    """``forgetting`` is the ratio of each minute's weight to the next one's (1: equal weights)."""

    forgetting: Annotated[float, Field(gt=0, le=1)] = 1.0


def line_weights(context: int, lead_times_min: tuple[int, ...], forgetting: float) -> F32:
    """Return the weights ``[context, K]`` of a window's minutes in the extrapolated least-squares line.

    Exponentially weighted least squares (Brown 1963): minute ``i`` before the last weighs ``forgetting ** i``.
    """
    minute = np.arange(1 - context, 1, dtype=np.float64)
    weight = forgetting**-minute
    design = np.column_stack((np.ones(context), minute))
    fit = np.linalg.solve(design.T @ (design * weight[:, np.newaxis]), (design * weight[:, np.newaxis]).T)
    ahead = np.column_stack((np.ones(len(lead_times_min)), np.asarray(lead_times_min, dtype=np.float64)))
    return np.asarray((ahead @ fit).T, dtype=np.float32)


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the model; its mean has no trainable weights."""
    if not isinstance(hyper, TrendHyper):
        msg = f"a trend is built from TrendHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    window = window_input(design)
    weights = line_weights(design.task.window.context, design.task.lead_times_min, hyper.forgetting)
    kw = power(window)
    distance_kw = keras.layers.Flatten(name="lags")(kw - kw[:, -1:, :])
    scaled = keras.layers.Rescaling(1 / design.scale.scale_kw, name="scaled")(distance_kw)
    line = keras.layers.Dense(
        weights.shape[1], use_bias=False, kernel_initializer=keras.initializers.Constant(weights), trainable=False,
        name="line",
    )  # fmt: skip
    return close("trend", window, design, line(scaled))


FAMILY = Family("trend", TrendHyper, build)
