"""Two LSTMs at two scales, over the latest minutes and over the earlier hours in steps, and dense layers over both."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import ops

from gapcast_trainer.errors import RunError
from gapcast_trainer.families.parts.analogs import analog_features, check_analogs
from gapcast_trainer.families.parts.base import Design, Family, Hyper
from gapcast_trainer.families.parts.graph import (
    by_minute,
    by_window,
    clock,
    concatenate_parts,
    exact_mean,
    fine_power,
    folded,
    interleaved,
    others,
    power_by_minute,
    step_maxima,
    step_means,
    window_input,
)
from gapcast_trainer.families.parts.multiscale_hyper import MultiscaleHyper
from gapcast_trainer.families.parts.outputs import AnalogExpert, RelativeExpert, close
from gapcast_trainer.families.parts.unrolled_lstm import UnrolledLstm

#: Spread of a window: its mean absolute deviation, plus a share of its mean power, plus a minimum, kW.
_LEVEL_SHARE, _LEAST_KW = 0.05, 0.1
#: Limit of relative distances.
_LIMIT = 8.0


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the unfitted model; unrolled, so that it converts to TFLite builtins, is stateless and takes any N."""
    if not isinstance(hyper, MultiscaleHyper):
        msg = f"a multi-scale model is built from MultiscaleHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    n_far = _far_minutes(design, hyper)
    if hyper.analogs:
        check_analogs(design)
    penalty = keras.regularizers.L2(hyper.l2) if hyper.l2 else None
    window = window_input(design)
    scales = _scale_inputs(window, design, hyper)
    far = _pool_far(scales, n_far, hyper)
    state = _encode_far(far, hyper) if hyper.far_units else None
    near = _encode_near(interleaved([rows[n_far:, :] for rows in scales.all]), state, hyper)
    newest = [by_window([rows[-1:, :] for rows in (scales.level, *scales.fine)]), *clock(window, design)]
    direct = _direct_inputs(scales, far, newest, penalty, hyper)
    joined = _dense(hyper.dense, penalty, "dense")(concatenate_parts([near, *direct, *newest], "joined"))
    if hyper.dropout:
        joined = keras.layers.Dropout(hyper.dropout, name="dropout")(joined)
    for_mean = _dense(hyper.head, penalty, "mean_head")(joined)
    around = _dense(hyper.head, penalty, "quantile_head")(joined)
    n_leads = len(design.task.lead_times_min)
    mean = keras.layers.Dense(n_leads, kernel_initializer="zeros", name="change")(for_mean)
    spread_kw = _spread_kw(scales.kw) if hyper.relative else None
    expert = _relative_expert(scales, spread_kw, hyper, joined) if hyper.relative else None
    analogs = _analog_expert(scales, spread_kw, hyper, joined) if hyper.analogs else None
    return close("multiscale", window, design, mean, around, relative=expert, analogs=analogs)


@dataclass(frozen=True, slots=True)
class _Scales:
    """Features of each minute, each ``[context, N]``: a row for each minute.

    ``level`` is the scaled power, ``change`` its difference from the last minute; ``fine`` holds the power's logarithm
    with ``fine_kw``, otherwise nothing, and ``others`` the other measured features.
    """

    kw: keras.KerasTensor
    level: keras.KerasTensor
    change: keras.KerasTensor
    fine: list[keras.KerasTensor]
    others: list[keras.KerasTensor]

    @property
    def all(self) -> list[keras.KerasTensor]:
        """The inputs of the LSTM."""
        return [self.change, self.level, *self.fine, *self.others]


def _far_minutes(design: Design, hyper: MultiscaleHyper) -> int:
    """Return the number of minutes that are pooled in steps."""
    n_far, block_min = design.task.window.context - hyper.near_min, hyper.step_min * hyper.far_fold
    if n_far < block_min or n_far % block_min:
        msg = f"context less near_min must be whole blocks of step_min x far_fold = {block_min} min, not {n_far} min"
        raise RunError(msg)
    return n_far


def _scale_inputs(window: keras.KerasTensor, design: Design, hyper: MultiscaleHyper) -> _Scales:
    kw = power_by_minute(window)
    level = keras.layers.Rescaling(1 / design.scale.scale_kw, name="level")(kw)
    change = keras.layers.Rescaling(1 / design.scale.scale_kw, name="since")(kw - kw[-1:, :])
    beside_power = others(window, design)
    columns = [] if beside_power is None else [beside_power[:, :, place] for place in range(beside_power.shape[2])]
    fine = [fine_power(kw, hyper.fine_kw)] if hyper.fine_kw else []
    return _Scales(kw, level, change, fine, [by_minute(column) for column in columns])


def _pool_far(scales: _Scales, n_far: int, hyper: MultiscaleHyper) -> keras.KerasTensor:
    """Return the oldest ``n_far`` minutes in S steps, ``[S, C, N]``: means, maxima, and, with ``far_least``, minima."""
    pooled = [step_means(rows[:n_far, :], hyper.step_min) for rows in scales.all]
    pooled.append(step_maxima(scales.change[:n_far, :], hyper.step_min))
    if hyper.far_least:
        lowest = (scales.fine or [scales.change])[0]
        pooled.append(step_maxima(-lowest[:n_far, :], hyper.step_min))  # negative, as in files of version 2
    return interleaved(pooled)


def _encode_far(far: keras.KerasTensor, hyper: MultiscaleHyper) -> list[keras.KerasTensor]:
    """Return the state of the LSTM over the steps, from which the first near LSTM starts."""
    hidden, cell = UnrolledLstm(hyper.far_units, name="far_lstm")(folded(far, hyper.far_fold))
    return [hidden[-1], cell]


def _encode_near(
    minutes: keras.KerasTensor, state: list[keras.KerasTensor] | None, hyper: MultiscaleHyper
) -> keras.KerasTensor:
    """Return the output of the LSTMs over the near ``minutes`` ``[near_min, C, N]``, ``[N, units]``."""
    near = folded(minutes, hyper.near_fold)
    first, *further = hyper.near_units
    hidden, _ = UnrolledLstm(first, name="near_lstm_1")(near, state)
    for depth, width in enumerate(further, 2):
        steps = ops.reshape(ops.concatenate(hidden, axis=1), (-1, len(hidden), hidden[0].shape[1]))
        hidden, _ = UnrolledLstm(width, name=f"near_lstm_{depth}")(steps)
    return hidden[-1]


def _direct_inputs(
    scales: _Scales,
    far: keras.KerasTensor,
    newest: list[keras.KerasTensor],
    penalty: keras.Regularizer | None,
    hyper: MultiscaleHyper,
) -> list[keras.KerasTensor]:
    """Return the inputs that bypass the LSTMs: the last changes and the steps, through any ``wide`` layer."""
    rows = []
    if hyper.lags:
        lags = slice(-1 - hyper.lags, -1)
        rows = [scales.change[lags, :], *(fine[lags, :] for fine in scales.fine)]
    if hyper.far_dense:
        n_steps, n_channels = far.shape[:2]
        rows.append(ops.reshape(far, (n_steps * n_channels, -1)))
    if not rows:
        return []
    direct = by_window(rows)
    if not hyper.wide:
        return [direct]
    return [_dense(hyper.wide, penalty, "wide")(concatenate_parts([direct, *newest], "seen"))]


def _spread_kw(kw: keras.KerasTensor) -> keras.KerasTensor:
    """Return the spread of each window of the power ``kw`` ``[context, N]``, ``[1, N]``."""
    mean_kw = exact_mean(kw)
    return exact_mean(ops.absolute(kw - mean_kw)) + _LEVEL_SHARE * ops.absolute(mean_kw) + _LEAST_KW


def _relative_expert(
    scales: _Scales, spread_kw: keras.KerasTensor, hyper: MultiscaleHyper, joined: keras.KerasTensor
) -> RelativeExpert:
    """Return features of the window in units of its own spread, and the spread."""
    kw = scales.kw
    distance = ops.clip((kw - kw[-1:, :]) / spread_kw, -_LIMIT, _LIMIT)
    known = by_window(
        [
            distance[-1 - hyper.lags : -1, :],
            step_means(distance, hyper.step_min),
            step_maxima(distance, hyper.step_min),
            -step_maxima(-distance, hyper.step_min),
            0.5 * ops.log(spread_kw),
            *(fine[-1:, :] for fine in scales.fine),
        ]
    )
    first = _dense(hyper.relative, None, "relative_wide")(known)
    second = _dense(hyper.relative, None, "relative_dense")(concatenate_parts([first, joined], "relative_joined"))
    return RelativeExpert(second, by_window([spread_kw]))


def _analog_expert(
    scales: _Scales, spread_kw: keras.KerasTensor, hyper: MultiscaleHyper, joined: keras.KerasTensor
) -> AnalogExpert:
    """Return the inputs that correct the other experts: analogs, and the features of the first sub-network."""
    features = concatenate_parts([analog_features(scales.kw, spread_kw), joined], "analog_features")
    return AnalogExpert(features, by_window([spread_kw]), hyper.analogs)


def _dense(units: int, penalty: keras.Regularizer | None, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, activation="relu", kernel_regularizer=penalty, name=name)


FAMILY = Family("multiscale", MultiscaleHyper, build)
