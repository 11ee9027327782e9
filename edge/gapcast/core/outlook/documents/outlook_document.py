"""JSON documents of outlooks and of their live scores.

The fields of a published outlook are the only declaration of its JSON document and of all schemas.

:data:`OUTLOOK_FIELDS` defines the document on the outlook topic and in REST, the REST schema
(:mod:`gapcast.http.schemas.forecast_schemas`), and the generated parts of the AsyncAPI document and of
docs/messages.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gapcast.core.arrays.array_types import F64
from gapcast.core.documents.document_field import DocumentField, FieldType
from gapcast.core.documents.figures import round_or_none
from gapcast.core.forecasts.forecast import DECIMALS, LEVEL
from gapcast.core.learning.scores.summary import Period
from gapcast.core.outlook.outlook import LOWER, MEAN, MEDIAN, UPPER, Outlook
from gapcast.core.outlook.scores.scores import LeadScore, OutlookScores
from gapcast.core.time_grid import instant_label, minute_label

#: Version of the outlook's schema, ``v`` in its document.
OUTLOOK_SCHEMA = 1
#: Figures in the document of scores, by attributes of :class:`~gapcast.core.outlook.scores.scores.LeadScore`.
FIGURES = (
    "mse_kw2", "mae_kw", "bias_kw", "skill", "window_skill", "pinball_kw", "coverage", "width_kw",
)  # fmt: skip


def outlook_document(outlook: Outlook) -> dict[str, Any]:
    """Return the published JSON object of ``outlook``, with :data:`OUTLOOK_FIELDS`."""
    return {field.name: field.value(outlook) for field in OUTLOOK_FIELDS}


def _target_labels(outlook: Outlook) -> list[str]:
    return [minute_label(outlook.observed_minute + lead_min) for lead_min in outlook.lead_times_min]


def _rounded(column_kw: F64) -> list[float]:
    values_kw: list[float] = column_kw.round(DECIMALS).tolist()
    return values_kw


#: Lists have one value for each lead time.
OUTLOOK_FIELDS: tuple[DocumentField[Outlook], ...] = (
    DocumentField("v", FieldType.INTEGER, "version of this schema", lambda one: OUTLOOK_SCHEMA),
    DocumentField(
        "device",
        FieldType.TEXT,
        "device id; null for readings sent with the request",
        lambda one: one.device,
        is_nullable=True,
    ),
    DocumentField(
        "observed_at",
        FieldType.MINUTE,
        "minute of the newest reading used, as in the forecast",
        lambda one: minute_label(one.observed_minute),
    ),
    DocumentField(
        "issued_at",
        FieldType.INSTANT,
        "when the forecast of this outlook was issued, by the gateway's clock",
        lambda one: instant_label(one.issued_at_ms),
    ),
    DocumentField("model", FieldType.TEXT, "name of the outlook model", lambda one: one.model),
    DocumentField("model_version", FieldType.TEXT, "version of the outlook model", lambda one: one.model_version),
    DocumentField("level", FieldType.NUMBER, "nominal coverage of both prediction intervals: 0.9", lambda one: LEVEL),
    DocumentField(
        "lead_min",
        FieldType.INTEGERS,
        "lead times in minutes, in ascending order; each list below has one value per lead time",
        lambda one: list(one.lead_times_min),
    ),
    DocumentField(
        "target_at", FieldType.MINUTES, "the minute at each lead time: `lead_min` after `observed_at`", _target_labels
    ),
    DocumentField(
        "mean_kw", FieldType.NUMBERS, "mean of the single minute, kW", lambda one: _rounded(one.point_kw[:, MEAN])
    ),
    DocumentField(
        "lower_kw",
        FieldType.NUMBERS,
        "lower bound of the single minute, kW",
        lambda one: _rounded(one.point_kw[:, LOWER]),
    ),
    DocumentField(
        "median_kw", FieldType.NUMBERS, "median of the single minute, kW", lambda one: _rounded(one.point_kw[:, MEDIAN])
    ),
    DocumentField(
        "upper_kw",
        FieldType.NUMBERS,
        "upper bound of the single minute, kW",
        lambda one: _rounded(one.point_kw[:, UPPER]),
    ),
    DocumentField(
        "mean_to_kw",
        FieldType.NUMBERS,
        "mean of all minutes from the next one to the lead time, kW",
        lambda one: _rounded(one.mean_kw[:, MEAN]),
    ),
    DocumentField(
        "mean_to_lower_kw",
        FieldType.NUMBERS,
        "lower bound of the mean of these minutes, kW",
        lambda one: _rounded(one.mean_kw[:, LOWER]),
    ),
    DocumentField(
        "mean_to_median_kw",
        FieldType.NUMBERS,
        "median of the predicted distribution of the mean power of these minutes, kW",
        lambda one: _rounded(one.mean_kw[:, MEDIAN]),
    ),
    DocumentField(
        "mean_to_upper_kw",
        FieldType.NUMBERS,
        "upper bound of the mean of these minutes, kW",
        lambda one: _rounded(one.mean_kw[:, UPPER]),
    ),
)


def outlook_scores_document(scores: Mapping[Period, OutlookScores]) -> dict[str, dict[str, dict[str, list[Any]]]]:
    """Return the document of ``scores`` by period, and by ``point`` and ``mean``.

    Each figure is a list with a value for each lead time; a figure without data is None.
    """
    return {
        str(period): {"point": _columns(of_period.point), "mean": _columns(of_period.mean)}
        for period, of_period in scores.items()
    }


def _columns(scores: Sequence[LeadScore]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"lead_min": [one.lead_min for one in scores], "n": [one.n for one in scores]}
    for name in FIGURES:
        values = [getattr(one, name) for one in scores]
        columns[name] = [round_or_none(value) for value in values]
    return columns
