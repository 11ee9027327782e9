"""Response bodies of REST; the forecast's follows from :data:`gapcast.core.forecast_fields.FIELDS`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.config import JsonDict

from gapcast.core.forecast_fields import FIELDS, FieldType, ForecastField

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


_TYPES: dict[FieldType, Any] = {
    FieldType.INTEGER: int,
    FieldType.NUMBER: float,
    FieldType.TEXT: str,
    FieldType.MINUTE: str,
    FieldType.INSTANT: str,
    FieldType.NUMBERS: list[float],
    FieldType.WEIGHTS: dict[str, float],
}


def _definition(field: ForecastField) -> tuple[Any, Any]:
    kind = _TYPES[field.type]
    description = field.description[0].upper() + field.description[1:]
    if field.is_optional:
        return kind | None, Field(default=None, description=description)
    return kind | None if field.is_nullable else kind, Field(description=description)


_DEFINITIONS: dict[str, Any] = {field.name: _definition(field) for field in FIELDS}
ForecastDocument: Any = create_model(
    "ForecastDocument",
    __config__=ConfigDict(json_schema_extra={"examples": [_EXAMPLE]}, protected_namespaces=()),
    __doc__="A forecast; the same object as on the forecast topic.",
    **_DEFINITIONS,
)


class ForecastList(BaseModel):
    """The latest forecasts, by device."""

    forecasts: list[ForecastDocument]
    n_devices: int = Field(description="Number of devices with a forecast, over all pages")
    next: str | None = Field(description="Value of `after` for the next page; null on the last page")
