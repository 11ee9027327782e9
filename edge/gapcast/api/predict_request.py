"""The schema of a forecast request, and its conversion to readings."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag, WithJsonSchema
from pydantic.config import JsonDict

from gapcast.core.errors import PayloadError, RequestError, TooLargeError
from gapcast.core.plans.plan import MAX_LOADS, MAX_NAME_CHARS, NO_LOADS, LoadPlan, plan_of
from gapcast.core.readings.reading import Limits, Reading, instant_of, measured_of, power_of
from gapcast.core.time_grid import minute_of
from gapcast.core.windows.features import GAP, MEASURED

#: The kinds of readings in a request; pydantic includes the kind in the location of an error.
BARE, TIMED = KINDS = ("bare", "timed")

#: Any value: the core validates values and times, with the same messages as on the rejected topic.
Measured = Annotated[Any, WithJsonSchema({"type": "number"})]


def _without_default(schema: JsonDict) -> None:
    """Remove the default from the schema: an omitted value is not null, which is rejected."""
    del schema["default"]


class TimedReading(BaseModel):
    """A reading with its timestamp, as on the reading topic; with further measured features if the model needs them."""

    model_config = ConfigDict(extra="forbid")

    ts: Annotated[Any, WithJsonSchema({"type": ["string", "number"]})] = Field(
        description="RFC 3339 with offset, or epoch seconds or milliseconds"
    )
    gap_kw: Measured
    reactive_kvar: Measured = Field(default=None, json_schema_extra=_without_default)
    voltage_v: Measured = Field(default=None, json_schema_extra=_without_default)
    current_a: Measured = Field(default=None, json_schema_extra=_without_default)


def _kind(reading: object) -> str:
    return TIMED if isinstance(reading, (dict, TimedReading)) else BARE


AnyReading = Annotated[Annotated[Measured, Tag(BARE)] | Annotated[TimedReading, Tag(TIMED)], Discriminator(_kind)]


#: The JSON schema of a plan.
PLAN_SCHEMA: JsonDict = {
    "type": "array",
    "maxItems": MAX_LOADS,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["kw"],
        "properties": {
            "kw": {"type": "number", "description": "Power while the load is on, kW; negative for generation"},
            "from": {"type": ["string", "number"], "description": "Start; without it the load is already on"},
            "until": {"type": ["string", "number"], "description": "End; give either this or `minutes`"},
            "minutes": {"type": "number", "description": "Duration from `from`, or from now without it"},
            "name": {"type": "string", "maxLength": MAX_NAME_CHARS},
        },
    },
}
#: Any value: the core validates a plan, with the same messages as on the plan topic.
Plan = Annotated[Any, WithJsonSchema(PLAN_SCHEMA)]


class PredictRequest(BaseModel):
    """Readings to forecast from: kW, minute by minute, oldest first; all bare numbers or all with ``ts``."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"readings": [1.2, 1.3, 1.1, 1.4], "model": "lstm-5-3"}]}
    )

    readings: list[AnyReading] = Field(fail_fast=True)
    model: str | None = Field(default=None, description="Name of a loaded model (default: the primary model)")
    plan: Plan = Field(
        default=None,
        description="Announced loads, as in the plan of a device; the forecast contains them",
        json_schema_extra=_without_default,
    )
    device: str | None = Field(
        default=None,
        description="Name of a device: the forecast has its horizon, but uses nothing that it has learned. "
        "Without it, or with an unknown name, the horizon is that of `[forecast]`",
    )
    outlook: StrictBool = Field(
        default=False, description="Whether the forecast contains an outlook: each lead time up to an hour"
    )


def request_of(document: object, max_readings: int) -> PredictRequest:
    """Return the decoded JSON ``document`` as a request.

    The number of readings and of keys is checked first, so that pydantic never lists thousands of errors. Raises
    :class:`TooLargeError`, :class:`RequestError` or pydantic's ``ValidationError``.
    """
    if isinstance(document, dict):
        _require_known(document, PredictRequest, "")
        readings = document.get("readings")
        if isinstance(readings, list):
            if len(readings) > max_readings:
                msg = f"readings: at most {max_readings} are taken, not {len(readings)}"
                raise TooLargeError(msg)
            for i, reading in enumerate(readings):
                if isinstance(reading, dict):
                    _require_known(reading, TimedReading, f"readings[{i}].")
    return PredictRequest.model_validate(document)


def _require_known(document: dict[str, Any], model: type[BaseModel], path: str) -> None:
    if len(document) > len(model.model_fields):
        unknown = next(name for name in document if name not in model.model_fields)
        msg = f"{path}{unknown}: Extra inputs are not permitted"
        raise RequestError(msg)


def requested_plan(request: PredictRequest, limits: Limits) -> LoadPlan:
    """Return a request's announced loads; raise :class:`PayloadError`, naming the load, if one is invalid."""
    if "plan" not in request.model_fields_set:
        return NO_LOADS
    return plan_of(request.plan, limits, time.time_ns() // 1_000_000)


def series_of(request: PredictRequest, limits: Limits) -> list[Reading]:
    """Return a request's readings; without timestamps, the last reading is of the current minute.

    Raises :class:`PayloadError` or :class:`RequestError`, naming the reading, if one is invalid.
    """
    readings = request.readings
    first_minute = minute_of(time.time_ns() // 1_000_000) - len(readings) + 1
    series = []
    for i, reading in enumerate(readings):
        if isinstance(reading, TimedReading) is not isinstance(readings[0], TimedReading):
            msg = f"readings[{i}]: give a ts with every reading, or with none"
            raise RequestError(msg)
        try:
            if isinstance(reading, TimedReading):
                series.append(_reading(reading, limits))
            else:
                series.append(Reading("", first_minute + i, power_of(reading, limits)))
        except PayloadError as error:
            fix = "; leave missing minutes out, and give a ts with the others" if reading is None else ""
            raise PayloadError(error.reason, f"readings[{i}]: {error.detail}{fix}") from error
    return series


def _reading(timed: TimedReading, limits: Limits) -> Reading:
    values = timed.model_dump(exclude_unset=True)
    measured = {name: measured_of(name, values[name]) for name in MEASURED if name != GAP and name in values}
    minute, gap_kw = minute_of(instant_of(timed.ts)), power_of(timed.gap_kw, limits)
    return Reading("", minute, gap_kw, measured=measured or None)
