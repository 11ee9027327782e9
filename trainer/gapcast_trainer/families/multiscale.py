"""Near minutes one by one, the hours before them in steps: two LSTMs at two scales, and dense layers over both."""

from __future__ import annotations

from typing import Annotated

import keras
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from gapcast_trainer.errors import RunError
from gapcast_trainer.families.base import Design, Family, Hyper
from gapcast_trainer.families.graph import beside, clock, close, others, power, window_input


class MultiscaleHyper(Hyper):
    """What is seen at two scales: the last ``near_min`` minutes one by one, what is older in steps of ``step_min``.

    A step is the mean and the highest of its minutes, and the lowest too with ``far_least``. LSTMs of
    ``near_units`` go over the near minutes, ``near_fold`` of them at a time. One of ``far_units`` goes over the
    steps, ``far_fold`` at a time, and the first near one starts from its state (0: none; else as many as that
    one's). With ``fine_kw`` power is also seen on a logarithmic scale that is straight below about so many kW, so
    that what a small load does is not lost beside a large one (0: not).

    A dense layer of ``wide`` units sees ``lags`` of the last changes, and the steps where ``far_dense``, directly
    (0: none). ``dense`` units join all; ``head`` units stand before the mean and before the quantiles each.
    ``dropout`` comes before the heads; ``l2`` is the penalty on squared weights of dense layers.
    """

    near_min: PositiveInt = 30
    near_fold: PositiveInt = 1
    near_units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 32)
    step_min: PositiveInt = 5
    far_fold: PositiveInt = 1
    far_units: Annotated[int, Field(ge=0)] = 32
    far_least: bool = False
    far_dense: bool = False
    fine_kw: NonNegativeFloat = 0.0
    lags: Annotated[int, Field(ge=0)] = 12
    wide: Annotated[int, Field(ge=0)] = 0
    dense: PositiveInt = 64
    head: PositiveInt = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l2: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _fits(self) -> MultiscaleHyper:
        if self.far_units and self.far_units != self.near_units[0]:
            msg = f"far_units must be 0 or near_units[0] ({self.near_units[0]}), whose state it starts"
            raise ValueError(msg)
        if self.near_min % self.near_fold:
            msg = f"near_min ({self.near_min}) must be whole folds of near_fold ({self.near_fold}) minutes"
            raise ValueError(msg)
        return self


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the unfitted model; unrolled, so that it converts to TFLite builtins, keeps no state and takes any N."""
    if not isinstance(hyper, MultiscaleHyper):
        msg = f"a multi-scale model is built from MultiscaleHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    n_far, block_min = design.task.window.context - hyper.near_min, hyper.step_min * hyper.far_fold
    if n_far < block_min or n_far % block_min:
        msg = f"context less near_min must be whole blocks of step_min x far_fold = {block_min} min, not {n_far} min"
        raise RunError(msg)
    layers = keras.layers
    penalty = keras.regularizers.L2(hyper.l2) if hyper.l2 else None
    window = window_input(design)
    kw = power(window)
    level = layers.Rescaling(1 / design.scale.scale_kw, name="level")(kw)
    change = layers.Rescaling(1 / design.scale.scale_kw, name="since")(kw - kw[:, -1:, :])
    beside_power = others(window, design)
    fine = [_fine(kw, hyper.fine_kw)] if hyper.fine_kw else []
    both = beside([change, level, *fine, *([] if beside_power is None else [beside_power])], "both")
    pooled = [
        layers.AveragePooling1D(hyper.step_min, name="far_mean")(both[:, :n_far, :]),
        layers.MaxPooling1D(hyper.step_min, name="far_max")(change[:, :n_far, :]),
    ]
    if hyper.far_least:
        lowest = layers.Rescaling(-1.0, name="upside_down")((fine or [change])[0])
        pooled.append(layers.MaxPooling1D(hyper.step_min, name="far_least")(lowest[:, :n_far, :]))
    far = beside(pooled, "far")
    state = None
    if hyper.far_units:
        _, hidden, cell = layers.LSTM(hyper.far_units, unroll=True, return_state=True, name="far_lstm")(
            _folded(far, hyper.far_fold, "far")
        )
        state = [hidden, cell]
    near = _folded(both[:, n_far:, :], hyper.near_fold, "near")
    for depth, width in enumerate(hyper.near_units, 1):
        last = depth == len(hyper.near_units)
        lstm = layers.LSTM(width, return_sequences=not last, unroll=True, name=f"near_lstm_{depth}")
        near = lstm(near, initial_state=state if depth == 1 else None)
    now = [level[:, -1, :], *(scale[:, -1, :] for scale in fine), *clock(window, design)]
    direct = []
    if hyper.lags:
        direct = [layers.Flatten(name="lags")(change[:, -1 - hyper.lags : -1, :])]
        direct += [layers.Flatten(name="fine_lags")(scale[:, -1 - hyper.lags : -1, :]) for scale in fine]
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


def _fine(kw: keras.KerasTensor, fine_kw: float) -> keras.KerasTensor:
    """Return ``log(1 + kw / fine_kw)`` of what is drawn, shifted and scaled to about -1 to 1."""
    drawn = keras.layers.ReLU(name="drawn")(kw)
    shifted = keras.layers.Rescaling(1 / fine_kw, 1.0, name="fine_scaled")(drawn)
    return keras.layers.Rescaling(1 / 3, -0.7, name="fine")(keras.ops.log(shifted))


def _folded(steps: keras.KerasTensor, fold: int, name: str) -> keras.KerasTensor:
    """Return ``steps`` ``[N, T, C]`` as ``[N, T / fold, fold * C]``: an LSTM takes as many at once."""
    if fold == 1:
        return steps
    n_steps, n_channels = steps.shape[1:]
    return keras.layers.Reshape((n_steps // fold, fold * n_channels), name=f"{name}_folded")(steps)


FAMILY = Family("multiscale", MultiscaleHyper, build)
