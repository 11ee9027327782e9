"""Near minutes one by one, the hours before them in steps: two LSTMs at two scales, and dense layers over both."""

from __future__ import annotations

from typing import Annotated

import keras
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from trainer.errors import RunError
from trainer.families.base import Design, Family, Hyper
from trainer.families.graph import beside, clock, close, others, power, window_input


class MultiscaleHyper(Hyper):
    """The last ``near_min`` minutes go one by one through LSTMs of ``near_units``.

    What is older is pooled into means and maxima of ``step_min`` minutes each, which go through an
    LSTM of ``far_units`` whose state the first near LSTM starts from (0: none; else as many as
    that one's). ``lags`` of the last changes, and the pooled steps where ``far_dense``, are seen by
    a dense layer of ``wide`` units directly (0: none). ``dense`` units join all; ``head`` units stand before the mean
    and before the quantiles each. ``dropout`` comes before the heads; ``l2`` is the penalty on
    squared weights of dense layers.
    """

    near_min: PositiveInt = 30
    step_min: PositiveInt = 5
    near_units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 32)
    far_units: Annotated[int, Field(ge=0)] = 32
    far_dense: bool = False
    lags: Annotated[int, Field(ge=0)] = 12
    wide: Annotated[int, Field(ge=0)] = 0
    dense: PositiveInt = 64
    head: PositiveInt = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l2: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _one_state(self) -> MultiscaleHyper:
        if self.far_units and self.far_units != self.near_units[0]:
            msg = f"far_units must be 0 or near_units[0] ({self.near_units[0]}), whose state it starts"
            raise ValueError(msg)
        return self


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the unfitted model; unrolled, so that it converts to TFLite builtins, keeps no state and takes any N."""
    if not isinstance(hyper, MultiscaleHyper):
        msg = f"a multi-scale model is built from MultiscaleHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    n_far = design.task.window.context - hyper.near_min
    if n_far < hyper.step_min or n_far % hyper.step_min:
        msg = f"context less near_min must be whole steps of {hyper.step_min} min, not {n_far} min"
        raise RunError(msg)
    layers = keras.layers
    penalty = keras.regularizers.L2(hyper.l2) if hyper.l2 else None
    window = window_input(design)
    kw = power(window)
    level = layers.Rescaling(1 / design.scale.scale_kw, name="level")(kw)
    change = layers.Rescaling(1 / design.scale.scale_kw, name="since")(kw - kw[:, -1:, :])
    beside_power = others(window, design)
    both = beside([change, level, *([] if beside_power is None else [beside_power])], "both")
    far = beside(
        [
            layers.AveragePooling1D(hyper.step_min, name="far_mean")(both[:, :n_far, :]),
            layers.MaxPooling1D(hyper.step_min, name="far_max")(change[:, :n_far, :]),
        ],
        "far",
    )
    state = None
    if hyper.far_units:
        _, hidden, cell = layers.LSTM(hyper.far_units, unroll=True, return_state=True, name="far_lstm")(far)
        state = [hidden, cell]
    near = both[:, n_far:, :]
    for depth, width in enumerate(hyper.near_units, 1):
        last = depth == len(hyper.near_units)
        lstm = layers.LSTM(width, return_sequences=not last, unroll=True, name=f"near_lstm_{depth}")
        near = lstm(near, initial_state=state if depth == 1 else None)
    now = [level[:, -1, :], *clock(window, design)]
    direct = [layers.Flatten(name="lags")(change[:, -1 - hyper.lags : -1, :])] if hyper.lags else []
    direct += [layers.Flatten(name="far_steps")(far)] if hyper.far_dense else []
    if hyper.wide and direct:
        dense = layers.Dense(hyper.wide, activation="relu", kernel_regularizer=penalty, name="wide")
        direct = [dense(beside([*direct, *now], "seen"))]
    joined = layers.Dense(hyper.dense, activation="relu", kernel_regularizer=penalty, name="dense")(
        beside([near, *direct, *now], "joined")
    )
    if hyper.dropout:
        joined = layers.Dropout(hyper.dropout, name="dropout")(joined)
    for_mean = layers.Dense(hyper.head, activation="relu", kernel_regularizer=penalty, name="mean_head")(joined)
    around = layers.Dense(hyper.head, activation="relu", kernel_regularizer=penalty, name="quantile_head")(joined)
    n_leads = len(design.task.lead_times_min)
    mean = layers.Dense(n_leads, kernel_initializer="zeros", name="change")(for_mean)
    return close("multiscale", window, design, mean, around)


FAMILY = Family("multiscale", MultiscaleHyper, build)
