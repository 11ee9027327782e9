"""Response bodies of REST with forecasts and outlooks.

Their fields follow from :data:`gapcast.core.forecasts.forecast_fields.FIELDS` and
:data:`gapcast.core.outlook.documents.outlook_document.OUTLOOK_FIELDS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.config import JsonDict

from gapcast.core.documents.document_field import DocumentField, FieldType
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.forecast_fields import FIELDS, ForecastField
from gapcast.core.outlook.documents.outlook_document import OUTLOOK_FIELDS

#: The forecast that documents show.
EXAMPLE = Forecast(
    device="home",
    observed_minute=21_476_189,
    horizon_min=5,
    gap_kw=1.31,
    median_kw=1.28,
    lower_kw=0.62,
    upper_kw=2.71,
    model="blend",
    model_version="3",
    n_observed=180,
    context=180,
    issued_at_ms=1_767_268_800_123,
    path_kw=(1.19, 1.22, 1.26, 1.29, 1.31),
    experts={"lstm": 0.41, "learned": 0.57, "persistence": 0.02},
    median_experts={"lstm": 0.61, "learned": 0.38, "persistence": 0.01},
)

_TYPES: dict[FieldType, Any] = {
    FieldType.INTEGER: int,
    FieldType.NUMBER: float,
    FieldType.BOOLEAN: bool,
    FieldType.TEXT: str,
    FieldType.MINUTE: str,
    FieldType.INSTANT: str,
    FieldType.NUMBERS: list[float],
    FieldType.INTEGERS: list[int],
    FieldType.MINUTES: list[str],
    FieldType.WEIGHTS: dict[str, float],
}


def definitions_of(fields: Iterable[DocumentField[Any]]) -> dict[str, Any]:
    """Return the types of ``fields`` in a pydantic model, with their descriptions, by name."""
    return {field.name: _definition_of(field) for field in fields}


def _definition_of(field: DocumentField[Any]) -> tuple[Any, Any]:
    kind = _TYPES[field.type]
    description = field.description[0].upper() + field.description[1:]
    if isinstance(field, ForecastField) and field.is_optional:
        return kind | None, Field(default=None, description=description)
    return kind | None if field.is_nullable else kind, Field(description=description)


def document_model(name: str, description: str, example: JsonDict, definitions: Mapping[str, Any]) -> Any:
    """Return the pydantic model ``name`` of a document with the fields of ``definitions``."""
    config = ConfigDict(json_schema_extra={"examples": [example]}, protected_namespaces=())
    return create_model(name, __config__=config, __doc__=description, **definitions)


ForecastDocument: Any = document_model(
    "ForecastDocument",
    "A forecast; the same object as on the forecast topic.",
    EXAMPLE.document(),
    definitions_of(FIELDS),
)


class ForecastList(BaseModel):
    """The newest forecasts, by device."""

    forecasts: list[ForecastDocument]
    n_devices: int = Field(description="Number of devices with a forecast, over all pages")
    next: str | None = Field(description="Value of `after` for the next page; null on the last page")


_OUTLOOK_EXAMPLE: JsonDict = {
    "v": 1,
    "device": "home",
    "observed_at": "2010-11-01T00:29:00Z",
    "issued_at": "2026-01-01T12:00:00.123Z",
    "model": "outlook",
    "model_version": "2",
    "level": 0.9,
    "lead_min": [5, 60],
    "target_at": ["2010-11-01T00:34:00Z", "2010-11-01T01:29:00Z"],
    "mean_kw": [1.31, 1.12],
    "lower_kw": [0.62, 0.24],
    "median_kw": [1.28, 0.81],
    "upper_kw": [2.71, 3.4],
    "mean_to_kw": [1.25, 1.19],
    "mean_to_lower_kw": [0.81, 0.52],
    "mean_to_median_kw": [1.23, 1.11],
    "mean_to_upper_kw": [2.16, 2.2],
}
OutlookDocument: Any = document_model(
    "OutlookDocument",
    "An outlook: each lead time up to an hour; the same object as on the outlook topic.",
    _OUTLOOK_EXAMPLE,
    definitions_of(OUTLOOK_FIELDS),
)


class OutlookList(BaseModel):
    """The newest outlooks, by device."""

    outlooks: list[OutlookDocument]
    n_devices: int = Field(description="Number of devices that have an outlook, over all pages")
    next: str | None = Field(description="Value of `after` for the next page; null on the last page")


PredictDocument: Any = create_model(
    "PredictDocument",
    __base__=ForecastDocument,
    __doc__="A forecast of readings in a request, with its outlook if the request has `outlook`.",
    outlook=(OutlookDocument | None, Field(default=None, description="Absent without `outlook` in the request")),
)
