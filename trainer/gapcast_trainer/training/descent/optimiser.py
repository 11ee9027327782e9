"""The optimiser of an experiment and its learning rate."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from gapcast_trainer.experiments.sections import Descent


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate by step, over ``n_steps``."""

    def __init__(self, descent: Descent, n_steps: int) -> None:
        """Use the schedule of ``descent``."""
        super().__init__()
        self._descent = descent
        self._n_steps = n_steps

    def __call__(self, step: Any) -> Any:
        """Return the rate at ``step``."""
        descent = self._descent
        done = ops.minimum(ops.cast(step, "float32") / self._n_steps, 1.0)
        first, last = descent.learning_rate, descent.last_learning_rate
        if descent.schedule == "constant":
            rate = first * ops.ones_like(done)
        elif descent.schedule == "cosine":
            rate = last + (first - last) * 0.5 * (1 + ops.cos(math.pi * done))
        else:
            rate = first * ops.power(last / first, done)
        if descent.warm_up_steps:
            rate *= ops.minimum((ops.cast(step, "float32") + 1) / descent.warm_up_steps, 1.0)
        return rate


def make_optimiser(descent: Descent, rate: LearningRate) -> keras.optimizers.Optimizer:
    """Return the optimiser of ``descent`` with the schedule ``rate``."""
    common: dict[str, Any] = {
        "clipnorm": descent.clip_norm,
        "use_ema": bool(descent.average),
        "ema_momentum": descent.average or 0.99,
    }
    if descent.optimiser == "sgd":
        return keras.optimizers.SGD(
            rate, momentum=descent.momentum, weight_decay=descent.weight_decay or None, **common
        )
    if descent.optimiser == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=descent.weight_decay, **common)
    return keras.optimizers.Adam(rate, weight_decay=descent.weight_decay or None, **common)
