"""Types and bounds of the values of a model's card.

The bounds are wider than any real model needs: a card is read before its model has been run.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_TOLERANCE_KW = 0.01
MAX_CONTEXT_MIN = 100_000
#: Longest horizon, minutes. Pending forecasts take memory for each minute of it.
MAX_HORIZON_MIN = 60
MAX_MODEL_BYTES = 64 << 20
#: Largest number of items of a list: examples, houses.
MAX_ITEMS = 1_000
MAX_KW, MAX_LEVELS, MAX_COUNT, _MAX_TEXT = 1e9, 99, 10**12, 1_000

#: A power of an example, or another measured value.
Value = Annotated[float, Field(ge=-MAX_KW, le=MAX_KW)]
#: A mean error, kW, or its square.
MeanError = Annotated[float, Field(ge=0, le=MAX_KW**2)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Text = Annotated[str, Field(max_length=_MAX_TEXT)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _only_json(values: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        msg = f"must contain only JSON values: {error}"
        raise ValueError(msg) from error
    return values


#: Any JSON, such as the parameters of the training.
JsonObject = Annotated[dict[str, Any], AfterValidator(_only_json)]


class CardPart(BaseModel):
    """A part of the card: immutable, without unknown keys and without infinite or missing numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
