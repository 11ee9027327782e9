"""What comes and goes over REST."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic.config import JsonDict

_EXAMPLE: JsonDict = {
    "v": 1,
    "device": "home",
    "observed_at": "2010-11-01T00:29:00Z",
    "target_at": "2010-11-01T00:34:00Z",
    "issued_at": "2026-01-01T12:00:00.123Z",
    "horizon_min": 5,
    "gap_kw": 1.31,
    "median_kw": None,
    "lower_kw": None,
    "upper_kw": None,
    "level": None,
    "model": "lstm-5-3",
    "model_version": "1",
    "n_observed": 30,
    "context": 30,
}


#: The kinds of readings in a request; pydantic names the kind in the place of an error.
BARE, TIMED = KINDS = ("bare", "timed")


class ForecastDocument(BaseModel):
    """A forecast; the same object as on the forecast topic."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]}, protected_namespaces=())

    v: int = Field(description="Version of this schema")
    device: str | None = Field(description="Null for readings that came with the request")
    observed_at: str = Field(description="Minute of the newest reading used, RFC 3339")
    target_at: str = Field(description="Minute that the forecast speaks of")
    issued_at: str
    horizon_min: int
    gap_kw: float = Field(description="Mean, kW")
    median_kw: float | None = Field(description="Null where the model has no quantiles, as are the bounds")
    lower_kw: float | None
    upper_kw: float | None
    level: float | None = Field(description="Share of outcomes that the bounds should hold")
    model: str
    model_version: str
    n_observed: int = Field(description="Real readings in the window")
    context: int = Field(description="Minutes in the window")
    path: list[float] | None = Field(
        default=None,
        description="Means for each of the lead times on the model's card, the last of which is the target's, kW; "
        "absent where it has one only",
    )


class ForecastList(BaseModel):
    """The latest forecast of every device."""

    forecasts: list[ForecastDocument]


#: What came, whatever it is: the core judges values and times, in the words that the rejected topic has for them.
Measured = Annotated[Any, WithJsonSchema({"type": "number"})]


def _without_default(schema: JsonDict) -> None:
    """A value that is left out is not null, which is refused as no number: tell of no default."""
    del schema["default"]


class TimedReading(BaseModel):
    """A reading with its time, as on the reading topic; what is measured beside power, where a model needs it."""

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


class PredictRequest(BaseModel):
    """Readings to forecast from: kW, minute by minute, oldest first; all bare numbers or all with ``ts``."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"readings": [1.2, 1.3, 1.1, 1.4], "model": "lstm-5-3"}]}
    )

    readings: list[AnyReading]
    model: str | None = Field(default=None, description="Name of a loaded model; the service's own where absent")


class HealthCheck(BaseModel):
    """One check of draft-inadarei-api-health-check."""

    status: Literal["pass", "warn", "fail"]
    output: str | None = None


class Health(BaseModel):
    """``application/health+json``."""

    status: Literal["pass", "warn", "fail"]
    version: str
    checks: dict[str, list[HealthCheck]]
