"""The parts that every family's graph begins and ends with."""

from __future__ import annotations

import keras

from trainer.families.base import Hyper
from trainer.windows import Task


def window_input(task: Task) -> keras.KerasTensor:
    """Return the input: raw kW, oldest first, ``[N, context, 1]``, any N."""
    return keras.Input((task.window.context, 1), name="window", dtype="float32")


def scaled(window: keras.KerasTensor, hyper: Hyper) -> keras.KerasTensor:
    """Return the window on the scale that layers learn well at."""
    return keras.layers.Rescaling(1 / hyper.scale_kw, -hyper.mean_kw / hyper.scale_kw, name="scaled")(window)


def anchored(window: keras.KerasTensor, hyper: Hyper, share: float) -> keras.KerasTensor:
    """Return the scaled distance of each minute from an anchor between the last reading and the mean.

    With ``share`` 1 the anchor is the last reading, and a layer sees the change alone; with 0 it is
    ``mean_kw``, and a layer sees the level. In between one feature carries both: the last minute
    shows the level, the others how far they are from the last.
    """
    last_kw = window[:, -1:, :]
    distance_kw = window - (share * last_kw + (1 - share) * hyper.mean_kw)
    return keras.layers.Rescaling(1 / hyper.scale_kw, name="anchored")(distance_kw)


def forecast_model(name: str, window: keras.KerasTensor, change: keras.KerasTensor, hyper: Hyper) -> keras.Model:
    """Close a graph whose ``change`` ``[N, K]`` is what happens after the last reading, in units of ``scale_kw``."""
    change_kw = keras.layers.Rescaling(hyper.scale_kw, name="change_kw")(change)
    last_kw = window[:, -1, :]
    mean_kw = keras.layers.Add(name="mean")([change_kw, last_kw])
    return keras.Model(window, {"mean": mean_kw}, name=name.replace("-", "_"))
