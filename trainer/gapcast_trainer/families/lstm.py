"""Stacked LSTMs over the whole window, with an optional convolution in front."""

from __future__ import annotations

from typing import Annotated

import keras
from pydantic import Field, NonNegativeFloat, PositiveInt

from gapcast_trainer.families.parts.base import Design, Family, Hyper
from gapcast_trainer.families.parts.graph import anchored, clock, concatenate_parts, others, power, window_input
from gapcast_trainer.families.parts.outputs import close


class LstmHyper(Hyper):
    """``units`` of each layer, first to last; ``anchor`` is the share of the last reading in the input's reference.

    ``filters`` convolutions of ``kernel_min`` minutes precede the LSTMs (0: none). ``dense`` units precede
    the outputs (0: none). With ``from_last`` the mean is the last reading plus a change.
    ``dropout`` follows each layer; ``l2`` is the penalty on squared weights.
    """

    units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (5, 3)
    anchor: Annotated[float, Field(ge=0, le=1)] = 0.7
    filters: Annotated[int, Field(ge=0)] = 0
    kernel_min: PositiveInt = 3
    dense: Annotated[int, Field(ge=0)] = 0
    from_last: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l2: NonNegativeFloat = 0.0


def build(design: Design, hyper: Hyper) -> keras.Model:
    """Build the unfitted model; unrolled, so that it converts to TFLite builtins, is stateless and takes any N."""
    if not isinstance(hyper, LstmHyper):
        msg = f"an LSTM is built from LstmHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    window = window_input(design)
    seen = [anchored(power(window), design, hyper.anchor)]
    beside_power = others(window, design)
    hidden = concatenate_parts(seen if beside_power is None else [*seen, beside_power], "seen")
    penalty = keras.regularizers.L2(hyper.l2) if hyper.l2 else None
    if hyper.filters:
        hidden = keras.layers.Conv1D(
            hyper.filters, hyper.kernel_min, padding="causal", activation="relu", kernel_regularizer=penalty,
            name="convolution",
        )(hidden)  # fmt: skip
    for depth, width in enumerate(hyper.units, 1):
        last = depth == len(hyper.units)
        hidden = keras.layers.LSTM(
            width, return_sequences=not last, unroll=True, kernel_regularizer=penalty, name=f"lstm_{depth}"
        )(hidden)
        if hyper.dropout:
            hidden = keras.layers.Dropout(hyper.dropout, name=f"dropout_{depth}")(hidden)
    hidden = concatenate_parts([hidden, *clock(window, design)], "with_clock")
    if hyper.dense:
        hidden = keras.layers.Dense(hyper.dense, activation="relu", kernel_regularizer=penalty, name="dense")(hidden)
    change = keras.layers.Dense(len(design.task.lead_times_min), name="change")(hidden)
    return close("lstm", window, design, change, hidden, from_last=hyper.from_last)


FAMILY = Family("lstm", LstmHyper, build)
