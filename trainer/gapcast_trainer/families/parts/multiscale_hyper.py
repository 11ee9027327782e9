"""The hyper-parameters of the family ``multiscale``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from gapcast_trainer.families.parts.base import Hyper


class MultiscaleHyper(Hyper):
    """Input at two scales: the last ``near_min`` minutes individually, older minutes in steps of ``step_min``.

    A step is the mean and the maximum of its minutes, with ``far_least`` also the minimum. LSTMs of ``near_units``
    process the near minutes, ``near_fold`` of them at a time. An LSTM of ``far_units`` processes the steps,
    ``far_fold`` at a time, and its state initialises the first near LSTM (0: none; otherwise the same number of units).
    With ``fine_kw`` (0: off) the input includes power on a logarithmic scale that is linear below about this many kW,
    so that small loads remain visible beside large ones.

    A dense layer of ``wide`` units (0: none) takes the last ``lags`` changes directly, and the steps with
    ``far_dense``. ``dense`` units combine everything; ``head`` units precede both the mean and the quantiles.
    ``relative`` units (0: none) are a second expert, over the last ``lags`` minutes and the whole window in steps, all
    divided by the window's own spread: it forecasts in units of the spread, for houses of any size, and gates between 0
    and 1 multiply the prediction of the other layers, so that they can be closed for unfamiliar houses. ``analogs``
    units (0: none; they require ``relative`` units) correct the forecast of all these by what followed earlier moments
    of the window that resemble the newest (:mod:`gapcast_trainer.families.parts.analogs`).
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
    analogs: Annotated[int, Field(ge=0)] = 0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l2: NonNegativeFloat = 0.0

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit unused ``analogs``, because files from before they existed state the same model."""
        fields: dict[str, Any] = serialize(self)
        return fields if self.analogs else {key: fields[key] for key in fields if key != "analogs"}

    @model_validator(mode="after")
    def _check_consistency(self) -> MultiscaleHyper:
        if self.far_units and self.far_units != self.near_units[0]:
            msg = f"far_units must be 0 or near_units[0] ({self.near_units[0]}), whose state it starts"
            raise ValueError(msg)
        if self.analogs and not self.relative:
            msg = f"analogs ({self.analogs}) correct the relative expert's forecast: set relative too, or analogs = 0"
            raise ValueError(msg)
        if self.near_min % self.near_fold:
            msg = f"near_min ({self.near_min}) must be whole folds of near_fold ({self.near_fold}) minutes"
            raise ValueError(msg)
        return self
