"""Response bodies of REST."""

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
    device: str | None = Field(description="Device id; null for readings sent with the request")
    observed_at: str = Field(description="Minute of the newest reading used, RFC 3339")
    target_at: str = Field(description="Target minute of the forecast, RFC 3339")
    issued_at: str
    horizon_min: int
    gap_kw: float = Field(description="Mean forecast, kW")
    median_kw: float | None = Field(
        description="Median forecast, kW; this and the bounds are null if the model has no quantiles"
    )
    lower_kw: float | None
    upper_kw: float | None
    level: float | None = Field(description="Nominal coverage of the interval between the bounds, e.g. 0.9")
    model: str
    model_version: str
    n_observed: int = Field(description="Number of real readings in the window")
    context: int = Field(description="Length of the window in minutes")
    path: list[float] | None = Field(
        default=None,
        description="Mean forecasts for each lead time of the model card, kW; the last is the target; "
        "absent where it has one only",
    )
    experts: dict[str, float] | None = Field(
        default=None, description="Ensemble weights of the mean; absent if a single model is published"
    )
    median_experts: dict[str, float] | None = Field(
        default=None, description="Ensemble weights of the median, around which the interval is placed"
    )


class ForecastList(BaseModel):
    """The latest forecasts, by device."""

    forecasts: list[ForecastDocument]
    n_devices: int = Field(description="Number of devices with a forecast, over all pages")
    next: str | None = Field(description="Value of `after` for the next page; null on the last page")
