"""The fields of a published forecast: the only declaration behind all its forms.

:data:`FIELDS` defines the JSON document (:meth:`gapcast.core.forecasts.forecast.Forecast.document`), the batch encoder
of MQTT and Spark (:mod:`gapcast.core.forecasts.forecast_json`), the REST schema
(:mod:`gapcast.http.schemas.forecast_schemas`), Spark's columns, and the generated parts of the AsyncAPI document and of
docs/messages.md (``scripts/generate``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, F64
from gapcast.core.documents.document_field import DocumentField, FieldType
from gapcast.core.time_grid import instant_label, minute_label

if TYPE_CHECKING:
    from gapcast.core.forecasts.forecast import Forecast, Forecasts  # noqa: F401 - ruff overlooks the string below

#: Version of the forecast's schema, ``v`` in its document.
FORECAST_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class ForecastField(DocumentField["Forecast"]):
    """One field of a forecast, and a column of a batch of forecasts.

    ``column`` returns the values of a batch, ``[N]``, or an array ``[N, K]`` for lists and maps. A field without
    ``column``, or whose ``column`` returns None, is the same in all forecasts of one model. Lists and maps come after
    all other fields. ``is_optional``: the field is absent if its value is None, in all forecasts of a batch or in none.
    ``is_sparse``: it may be absent in only some forecasts of a batch; such fields are optional numbers, and the last
    ones.
    """

    column: Callable[[Forecasts], Sequence[Any] | NDArray[Any] | None] | None = None
    is_optional: bool = False
    is_sparse: bool = False


def _labels(forecasts: Forecasts, ahead_min: int) -> list[str]:
    """Return the times ``ahead_min`` minutes after the newest readings; in a stream most of them are equal."""
    minutes = forecasts.observed_minutes
    if len(minutes) == 1:
        return [minute_label(minutes[0] + ahead_min)]
    labels = {minute: minute_label(minute + ahead_min) for minute in set(minutes)}
    return [labels[minute] for minute in minutes]


def _weights(forecasts: Forecasts, *, of_median: bool) -> F32 | F64 | None:
    """Return the weights of the mean, or of the median, in each forecast, ``[N, E]``."""
    shares = forecasts.shares
    if shares is None:
        return None
    n_members = len(shares.names)
    return shares.weights[:, n_members:] if of_median else shares.weights[:, :n_members]


FIELDS: tuple[ForecastField, ...] = (
    ForecastField("v", FieldType.INTEGER, "version of this schema", lambda one: FORECAST_SCHEMA),
    ForecastField(
        "device",
        FieldType.TEXT,
        "device id; null for readings sent with the request",
        lambda one: one.device,
        lambda batch: batch.devices,
        is_nullable=True,
    ),
    ForecastField(
        "observed_at",
        FieldType.MINUTE,
        "minute of the newest reading used",
        lambda one: minute_label(one.observed_minute),
        lambda batch: _labels(batch, 0),
    ),
    ForecastField(
        "target_at",
        FieldType.MINUTE,
        "target minute of the forecast: `horizon_min` after `observed_at`",
        lambda one: minute_label(one.target_minute),
        lambda batch: _labels(batch, batch.model.lead_times_min[-1]),
    ),
    ForecastField(
        "issued_at",
        FieldType.INSTANT,
        "when the forecast was issued, by the gateway's clock",
        lambda one: instant_label(one.issued_at_ms),
        lambda batch: [instant_label(batch.issued_at_ms)] * len(batch),
    ),
    ForecastField(
        "horizon_min", FieldType.INTEGER, "minutes from `observed_at` to `target_at`", lambda one: one.horizon_min
    ),
    ForecastField("gap_kw", FieldType.NUMBER, "mean, kW", lambda one: one.gap_kw, lambda batch: batch.gap_kw),
    ForecastField(
        "median_kw",
        FieldType.NUMBER,
        "median, kW; null for a single model without the quantile 0.5",
        lambda one: one.median_kw,
        lambda batch: batch.median_kw,
        is_nullable=True,
    ),
    ForecastField(
        "lower_kw",
        FieldType.NUMBER,
        "lower bound of the prediction interval, kW; null without calibration if the model lacks the quantile 0.05",
        lambda one: one.lower_kw,
        lambda batch: batch.lower_kw,
        is_nullable=True,
    ),
    ForecastField(
        "upper_kw",
        FieldType.NUMBER,
        "upper bound of the prediction interval, kW; null without calibration if the model lacks the quantile 0.95",
        lambda one: one.upper_kw,
        lambda batch: batch.upper_kw,
        is_nullable=True,
    ),
    ForecastField(
        "level",
        FieldType.NUMBER,
        "nominal coverage of the prediction interval, e.g. 0.9",
        lambda one: one.level,
        is_nullable=True,
    ),
    ForecastField(
        "model",
        FieldType.TEXT,
        "`blend` for the ensemble, or the model's name if `forecast.blend` is off",
        lambda one: one.model,
    ),
    ForecastField("model_version", FieldType.TEXT, "version of the primary model", lambda one: one.model_version),
    ForecastField(
        "n_observed",
        FieldType.INTEGER,
        "measured readings in the window; below `context`, the model is warming up",
        lambda one: one.n_observed,
        lambda batch: batch.n_observed,
    ),
    ForecastField(
        "context",
        FieldType.INTEGER,
        "minutes in the window; for the ensemble, the longest window of its members; with several horizons, the "
        "longest window of the members of all horizons",
        lambda one: one.context,
    ),
    ForecastField(
        "path",
        FieldType.NUMBERS,
        "mean of each minute up to the horizon, kW, or of each lead time if the model does not forecast every minute; "
        "the last value is `gap_kw`. Absent with `forecast.path = false`, and for models with one lead time",
        lambda one: None if one.path_kw is None else list(one.path_kw),
        lambda batch: batch.path_kw,
        is_optional=True,
    ),
    ForecastField(
        "experts",
        FieldType.WEIGHTS,
        "ensemble weights of `gap_kw`, without the bias correction that the gateway learns; they sum to 1, except for "
        "rounding. Absent if a single model is published",
        lambda one: None if one.experts is None else dict(one.experts),
        lambda batch: _weights(batch, of_median=False),
        is_optional=True,
    ),
    ForecastField(
        "median_experts",
        FieldType.WEIGHTS,
        "ensemble weights of `median_kw`, without the bias correction that the gateway learns, and before small "
        "changes are set to zero",
        lambda one: None if one.median_experts is None else dict(one.median_experts),
        lambda batch: _weights(batch, of_median=True),
        is_optional=True,
    ),
    ForecastField(
        "uncontrolled_kw",
        FieldType.NUMBER,
        "mean without the announced loads of the device's plan, kW. Absent, like `planned_kw`, if no announced load is "
        "on between `observed_at` and `target_at`",
        lambda one: one.uncontrolled_kw,
        lambda batch: batch.uncontrolled_kw,
        is_optional=True,
        is_sparse=True,
    ),
    ForecastField(
        "planned_kw",
        FieldType.NUMBER,
        "planned power of the target minute, kW; included in `gap_kw`, `median_kw` and the bounds",
        lambda one: one.planned_kw,
        lambda batch: batch.planned_kw,
        is_optional=True,
        is_sparse=True,
    ),
)
