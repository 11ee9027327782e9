"""Stacked LSTMs that forecast the change from the last reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import keras
from pydantic import Field, PositiveInt

from trainer.families.base import Descent, Family, Hyper
from trainer.families.graph import anchored, forecast_model, window_input
from trainer.windows import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmHyper(Descent):
    """``units`` of each layer, first to last; ``anchor`` is how far the window is seen from its last reading."""

    units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (5, 3)
    anchor: Annotated[float, Field(ge=0, le=1)] = 0.7


def build(task: Task, hyper: Hyper) -> keras.Model:
    """Build the unfitted model; unrolled, so that it converts to TFLite builtins, keeps no state and takes any N."""
    if not isinstance(hyper, LstmHyper):
        msg = f"an LSTM is built from LstmHyper, not {type(hyper).__name__}"
        raise TypeError(msg)
    window = window_input(task)
    hidden = anchored(window, hyper, hyper.anchor)
    for depth, width in enumerate(hyper.units, 1):
        last = depth == len(hyper.units)
        hidden = keras.layers.LSTM(width, return_sequences=not last, unroll=True, name=f"lstm_{depth}")(hidden)
    change = keras.layers.Dense(len(task.lead_times_min), name="change")(hidden)
    return forecast_model("lstm", window, change, hyper)


FAMILY = Family("lstm", LstmHyper, {"lstm-5-3": LstmHyper()}, build)
