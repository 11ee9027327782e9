"""The fields of an answer to a headroom request: the only declaration of its JSON document and of all schemas.

:data:`HEADROOM_FIELDS`, and :data:`HEADROOM_WINDOW_FIELDS` for each item of the list ``windows``, define the answer in
REST and MQTT, the REST schema (:mod:`gapcast.http.schemas.demand_schemas`), and the generated parts of the AsyncAPI
document and of docs/demand-messages.md.
"""

from __future__ import annotations

from typing import Any

from gapcast.core.demand.headroom.headroom import Headroom, HeadroomWindow
from gapcast.core.documents.document_field import DocumentField, FieldType
from gapcast.core.documents.figures import round_or_none
from gapcast.core.time_grid import instant_label, minute_label

#: Version of the answer's schema, ``v`` in its document.
HEADROOM_SCHEMA = 1
#: The field that is a list of objects with :data:`HEADROOM_WINDOW_FIELDS`.
WINDOWS = "windows"


def headroom_document(headroom: Headroom) -> dict[str, Any]:
    """Return the JSON object of ``headroom``, with :data:`HEADROOM_FIELDS` and ``windows``."""
    document = {field.name: field.value(headroom) for field in HEADROOM_FIELDS}
    document[WINDOWS] = [
        {field.name: field.value(window) for field in HEADROOM_WINDOW_FIELDS} for window in headroom.windows
    ]
    return document


def _label(minute: int | None) -> str | None:
    return None if minute is None else minute_label(minute)


HEADROOM_FIELDS: tuple[DocumentField[Headroom], ...] = (
    DocumentField("v", FieldType.INTEGER, "version of this schema", lambda one: HEADROOM_SCHEMA),
    DocumentField("device", FieldType.TEXT, "device id", lambda one: one.demand.device),
    DocumentField(
        "observed_at",
        FieldType.MINUTE,
        "minute of the newest reading used, as in the demand",
        lambda one: minute_label(one.demand.observed_minute),
    ),
    DocumentField(
        "issued_at",
        FieldType.INSTANT,
        "when the demand was issued, by the gateway's clock",
        lambda one: instant_label(one.demand.issued_at_ms),
    ),
    DocumentField("kw", FieldType.NUMBER, "requested power, kW", lambda one: round_or_none(one.request.kw)),
    DocumentField("minutes", FieldType.INTEGER, "requested duration, minutes", lambda one: one.request.minutes),
    DocumentField(
        "start",
        FieldType.MINUTE,
        "first minute of the load if it starts now: the one after `observed_at`",
        lambda one: minute_label(one.start_minute),
    ),
    DocumentField(
        "allowed",
        FieldType.BOOLEAN,
        "whether neither `p_exceed` nor `p_fuse` is above `risk`",
        lambda one: one.is_allowed,
    ),
    DocumentField(
        "p_exceed",
        FieldType.NUMBER,
        "probability that any window which the load touches exceeds its limit",
        lambda one: round_or_none(one.p_exceed),
    ),
    DocumentField(
        "p_exceed_without",
        FieldType.NUMBER,
        "the same probability without the load",
        lambda one: round_or_none(one.p_exceed_without),
    ),
    DocumentField(
        "fuse_kw",
        FieldType.NUMBER,
        "limit of each single minute, kW; null without such a limit",
        lambda one: round_or_none(one.demand.fuse_kw),
        is_nullable=True,
    ),
    DocumentField(
        "p_fuse",
        FieldType.NUMBER,
        "probability that any minute while the load runs is above `fuse_kw`; null without `fuse_kw`",
        lambda one: round_or_none(one.p_fuse),
        is_nullable=True,
    ),
    DocumentField(
        "risk", FieldType.NUMBER, "accepted probability of an exceedance", lambda one: round_or_none(one.demand.risk)
    ),
    DocumentField(
        "max_kw",
        FieldType.NUMBER,
        "largest power that may be drawn from now on for `minutes` at `risk`, kW in steps of 1 W; 0: none may be drawn",
        lambda one: round_or_none(one.max_kw),
    ),
    DocumentField(
        "earliest_start",
        FieldType.MINUTE,
        "first minute within an hour from which the requested power may be drawn for `minutes`; null if there is none",
        lambda one: _label(one.earliest_start_minute),
        is_nullable=True,
    ),
    DocumentField(
        "valid_until",
        FieldType.MINUTE,
        "end of the validity of this answer, equal to that of the demand",
        lambda one: minute_label(one.demand.valid_until_minute),
    ),
)

HEADROOM_WINDOW_FIELDS: tuple[DocumentField[HeadroomWindow], ...] = (
    DocumentField(
        "window_start", FieldType.MINUTE, "first minute of the window", lambda one: minute_label(one.start_minute)
    ),
    DocumentField(
        "window_end", FieldType.MINUTE, "minute after the window's last one", lambda one: minute_label(one.end_minute)
    ),
    DocumentField(
        "load_min", FieldType.INTEGER, "minutes of the window in which the load runs", lambda one: one.load_min
    ),
    DocumentField(
        "limit_kw",
        FieldType.NUMBER,
        "limit of the window's mean, kW; null if none applies",
        lambda one: round_or_none(one.limit_kw),
        is_nullable=True,
    ),
    DocumentField(
        "median_kw",
        FieldType.NUMBER,
        "median of the predicted distribution of the mean power of the whole window with the load, kW",
        lambda one: round_or_none(one.median_kw),
    ),
    DocumentField(
        "p_exceed",
        FieldType.NUMBER,
        "probability that the window exceeds its limit with the load",
        lambda one: round_or_none(one.p_exceed),
    ),
    DocumentField(
        "approximate",
        FieldType.BOOLEAN,
        "whether the window ends after the outlook; its power is then assumed to be that of the outlook's last window",
        lambda one: one.is_approximate,
    ),
)
