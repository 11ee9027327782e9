"""Persistence as a model file: the last reading for every lead time."""

from __future__ import annotations

import keras

from gapcast_trainer.families.parts.base import Design, Family, Hyper
from gapcast_trainer.families.parts.graph import power, window_input
from gapcast_trainer.families.parts.outputs import close


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the model; its mean has no trainable weights."""
    del hyper
    window = window_input(design)
    still = keras.layers.Dense(
        len(design.task.lead_times_min), use_bias=False, kernel_initializer="zeros", trainable=False, name="still"
    )
    last = power(window)[:, -1, :]
    return close("persistence", window, design, still(last))


FAMILY = Family("persistence", Hyper, build)
