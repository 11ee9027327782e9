"""What goes out over REST."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
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
    experts: dict[str, float] | None = Field(
        default=None, description="Weights of those whose blend the mean is; absent where a model speaks alone"
    )
    median_experts: dict[str, float] | None = Field(
        default=None, description="The same for the median, around which the bounds are put"
    )


class ForecastList(BaseModel):
    """The latest forecasts, by device."""

    forecasts: list[ForecastDocument]
    n_devices: int = Field(description="How many devices have a forecast, on all pages")
    next: str | None = Field(description="What to give as `after` for the next page; null on the last one")
