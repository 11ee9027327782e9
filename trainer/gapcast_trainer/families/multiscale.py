"""Two LSTMs at two scales, over the latest minutes and over the hours before in steps, and dense layers over both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import keras
from keras import ops
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from gapcast_trainer.errors import RunError
from gapcast_trainer.families.base import Design, Family, Hyper
from gapcast_trainer.families.graph import (
    RelativeExpert,
    beside,
    clock,
    close,
    fine_power,
    folded,
    others,
    power,
    window_input,
)

#: The spread of a window: its mean absolute deviation, a share of its mean power, and a least one, kW.
_LEVEL_SHARE, _LEAST_KW = 0.05, 0.1
#: Limit of relative distances.
_LIMIT = 8.0


class MultiscaleHyper(Hyper):
    """Input at two scales: the last ``near_min`` minutes one by one, older minutes in steps of ``step_min``.

    A step is the mean and the maximum of its minutes, with ``far_least`` also the minimum. LSTMs of
    ``near_units`` process the near minutes, ``near_fold`` of them at a time. One of ``far_units`` processes the
    steps, ``far_fold`` at a time, and its state initialises the first near LSTM (0: none; otherwise the same number of
    units). With ``fine_kw`` (0: off) the input includes power on a logarithmic scale that is linear below about this
    many kW, so that small loads remain visible beside large ones.

    A dense layer of ``wide`` units (0: none) takes the last ``lags`` changes directly, and the steps with
    ``far_dense``. ``dense`` units combine everything; ``head`` units precede the mean and the quantiles each.
    ``relative`` units (0: none) are a second expert, over the last ``lags`` minutes and the whole window in steps, all
    divided by the window's own spread: it forecasts in units of that, for houses of any size, and gates between 0 and 1
    multiply what the other layers expect, so that they can be closed where those know nothing.
    ``dropout`` precedes the heads; ``l2`` is the penalty on squared weights of dense layers.
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
    relative: Annotated[int, Field(ge=0)] = 0
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
    """Build the unfitted model; unrolled, so that it converts to TFLite builtins, is stateless and takes any N."""
    if not isinstance(hyper, MultiscaleHyper):
        msg = f"a multi-scale model is built from MultiscaleHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    n_far = _far_minutes(design, hyper)
    penalty = keras.regularizers.L2(hyper.l2) if hyper.l2 else None
    window = window_input(design)
    scales = _scale_inputs(window, design, hyper)
    far = _pool_far(scales, n_far, hyper)
    state = _encode_far(far, hyper) if hyper.far_units else None
    near = _encode_near(scales.combined[:, n_far:, :], state, hyper)
    newest = [kw[:, -1, :] for kw in (scales.level, *scales.fine)] + clock(window, design)
    direct = _direct_inputs(scales, far, newest, penalty, hyper)
    joined = _dense(hyper.dense, penalty, "dense")(beside([near, *direct, *newest], "joined"))
    if hyper.dropout:
        joined = keras.layers.Dropout(hyper.dropout, name="dropout")(joined)
    for_mean = _dense(hyper.head, penalty, "mean_head")(joined)
    around = _dense(hyper.head, penalty, "quantile_head")(joined)
    n_leads = len(design.task.lead_times_min)
    mean = keras.layers.Dense(n_leads, kernel_initializer="zeros", name="change")(for_mean)
    expert = _relative_expert(window, scales, hyper, joined) if hyper.relative else None
    return close("multiscale", window, design, mean, around, relative=expert)


@dataclass(frozen=True, slots=True)
class _Scales:
    """The scaled power of each minute, ``[N, context, 1]``: its level, and its difference to the last minute.

    ``fine`` holds its logarithm with ``fine_kw``, else nothing. ``combined`` are all of these and the other measured
    features side by side.
    """

    level: keras.KerasTensor
    change: keras.KerasTensor
    fine: list[keras.KerasTensor]
    combined: keras.KerasTensor


def _far_minutes(design: Design, hyper: MultiscaleHyper) -> int:
    """Return the number of minutes that are pooled in steps."""
    n_far, block_min = design.task.window.context - hyper.near_min, hyper.step_min * hyper.far_fold
    if n_far < block_min or n_far % block_min:
        msg = f"context less near_min must be whole blocks of step_min x far_fold = {block_min} min, not {n_far} min"
        raise RunError(msg)
    return n_far


def _scale_inputs(window: keras.KerasTensor, design: Design, hyper: MultiscaleHyper) -> _Scales:
    kw = power(window)
    level = keras.layers.Rescaling(1 / design.scale.scale_kw, name="level")(kw)
    change = keras.layers.Rescaling(1 / design.scale.scale_kw, name="since")(kw - kw[:, -1:, :])
    beside_power = others(window, design)
    fine = [fine_power(kw, hyper.fine_kw)] if hyper.fine_kw else []
    combined = beside([change, level, *fine, *([] if beside_power is None else [beside_power])], "both")
    return _Scales(level, change, fine, combined)


def _pool_far(scales: _Scales, n_far: int, hyper: MultiscaleHyper) -> keras.KerasTensor:
    """Return the oldest ``n_far`` minutes in steps: means, highest, and, with ``far_least``, lowest values."""
    pooled = [
        keras.layers.AveragePooling1D(hyper.step_min, name="far_mean")(scales.combined[:, :n_far, :]),
        keras.layers.MaxPooling1D(hyper.step_min, name="far_max")(scales.change[:, :n_far, :]),
    ]
    if hyper.far_least:
        lowest = keras.layers.Rescaling(-1.0, name="upside_down")((scales.fine or [scales.change])[0])
        pooled.append(keras.layers.MaxPooling1D(hyper.step_min, name="far_least")(lowest[:, :n_far, :]))
    return beside(pooled, "far")


def _encode_far(far: keras.KerasTensor, hyper: MultiscaleHyper) -> list[keras.KerasTensor]:
    """Return the state of the LSTM over the steps, from which the first near LSTM starts."""
    lstm = keras.layers.LSTM(hyper.far_units, unroll=True, return_state=True, name="far_lstm")
    _, hidden, cell = lstm(folded(far, hyper.far_fold, "far"))
    return [hidden, cell]


def _encode_near(
    minutes: keras.KerasTensor, state: list[keras.KerasTensor] | None, hyper: MultiscaleHyper
) -> keras.KerasTensor:
    """Return the output of the LSTMs over the near minutes, ``[N, units]``."""
    near = folded(minutes, hyper.near_fold, "near")
    for depth, width in enumerate(hyper.near_units, 1):
        last = depth == len(hyper.near_units)
        lstm = keras.layers.LSTM(width, return_sequences=not last, unroll=True, name=f"near_lstm_{depth}")
        near = lstm(near, initial_state=state if depth == 1 else None)
    return near


def _direct_inputs(
    scales: _Scales,
    far: keras.KerasTensor,
    newest: list[keras.KerasTensor],
    penalty: keras.Regularizer | None,
    hyper: MultiscaleHyper,
) -> list[keras.KerasTensor]:
    """Return what bypasses the LSTMs: the last changes and the steps, through the ``wide`` layer if there is one."""
    direct = []
    if hyper.lags:
        lags = slice(-1 - hyper.lags, -1)
        direct = [keras.layers.Flatten(name="lags")(scales.change[:, lags, :])]
        direct += [keras.layers.Flatten(name="fine_lags")(kw[:, lags, :]) for kw in scales.fine]
    direct += [keras.layers.Flatten(name="far_steps")(far)] if hyper.far_dense else []
    if hyper.wide and direct:
        direct = [_dense(hyper.wide, penalty, "wide")(beside([*direct, *newest], "seen"))]
    return direct


def _relative_expert(
    window: keras.KerasTensor, scales: _Scales, hyper: MultiscaleHyper, joined: keras.KerasTensor
) -> RelativeExpert:
    """Return features of the window in units of its own spread, and the spread."""
    kw = power(window)
    mean_kw = keras.layers.GlobalAveragePooling1D(keepdims=True, name="mean_kw")(kw)
    deviation_kw = keras.layers.GlobalAveragePooling1D(keepdims=True, name="deviation_kw")(ops.absolute(kw - mean_kw))
    spread_kw = deviation_kw + _LEVEL_SHARE * ops.absolute(mean_kw) + _LEAST_KW
    distance = ops.clip((kw - kw[:, -1:, :]) / spread_kw, -_LIMIT, _LIMIT)
    pooled = [
        keras.layers.AveragePooling1D(hyper.step_min, name="relative_mean")(distance),
        keras.layers.MaxPooling1D(hyper.step_min, name="relative_max")(distance),
        -keras.layers.MaxPooling1D(hyper.step_min, name="relative_least")(-distance),
    ]
    seen = [distance[:, -1 - hyper.lags : -1, :], *pooled]
    spread = spread_kw[:, 0, :]
    known = [keras.layers.Flatten(name=f"relative_{place}")(part) for place, part in enumerate(seen)]
    known += [0.5 * ops.log(spread), *(level[:, -1, :] for level in scales.fine)]
    first = _dense(hyper.relative, None, "relative_wide")(beside(known, "relative_seen"))
    second = _dense(hyper.relative, None, "relative_dense")(beside([first, joined], "relative_joined"))
    return RelativeExpert(second, spread)


def _dense(units: int, penalty: keras.Regularizer | None, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, activation="relu", kernel_regularizer=penalty, name=name)


FAMILY = Family("multiscale", MultiscaleHyper, build)
