"""The fields of a published demand: the only declaration of its JSON document and of all schemas.

:data:`DEMAND_FIELDS` defines the document on the demand topic and in REST, the REST schema
(:mod:`gapcast.http.schemas.demand_schemas`), and the generated parts of the AsyncAPI document and of
docs/demand-messages.md. The field ``next`` is an object with :data:`WINDOW_FIELDS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gapcast.core.billing.infeasible_limit import LIMIT_WARNING, InfeasibleLimit, text_of
from gapcast.core.billing.month_peaks import DayPeak
from gapcast.core.billing.window_demands import WindowDemand
from gapcast.core.demand.demand import Demand
from gapcast.core.documents.document_field import DocumentField, FieldType
from gapcast.core.forecasts.forecast import DECIMALS
from gapcast.core.time_grid import instant_label, minute_label

#: Version of the demand's schema, ``v`` in its document.
DEMAND_SCHEMA = 1
#: The field that is an object with :data:`WINDOW_FIELDS`.
NEXT = "next"
W_PER_KW = 1_000
_SCALE = 10.0**DECIMALS
#: The field with the month's highest windows, and the largest number of its entries, one a day.
MONTH_PEAKS, N_MONTH_PEAKS = "month_peaks", 5
#: The field with the time zone of that month and its days.
TIMEZONE = "timezone"


@dataclass(frozen=True, slots=True)
class WindowField(DocumentField[WindowDemand]):
    """One field of a window. ``is_of_next``: the next window, of which no minute is over, has the field, too."""

    is_of_next: bool = True


class DemandField(DocumentField[Demand]):
    """One field of a demand that does not belong to its running window."""


def demand_document(demand: Demand) -> dict[str, Any]:
    """Return the published JSON object of ``demand``, with :data:`DEMAND_FIELDS` and ``next``."""
    document = {field.name: field.value(demand) for field in _BEFORE}
    running, following = demand.running, demand.next
    document.update([(field.name, field.value(running)) for field in RUNNING_FIELDS])
    document.update([(field.name, field.value(demand)) for field in _AFTER])
    document[NEXT] = {field.name: field.value(following) for field in WINDOW_FIELDS}
    return document


def headroom_w(headroom_kw: float) -> int:
    """Return a headroom in whole W, rounded towards minus infinity.

    >>> headroom_w(1.2345), headroom_w(-0.0001)
    (1234, -1)
    """
    return math.floor(headroom_kw * W_PER_KW)


def _rounded(value: float) -> float:
    """Return ``value`` rounded as numpy rounds, so that single values are rounded like columns."""
    return round(value * _SCALE) / _SCALE


def _rounded_or_none(value: float | None) -> float | None:
    return None if value is None else _rounded(value)


#: The fields of the running window.
RUNNING_FIELDS: tuple[WindowField, ...] = (
    WindowField(
        "window_start", FieldType.MINUTE, "first minute of the window", lambda one: minute_label(one.start_minute)
    ),
    WindowField(
        "window_end", FieldType.MINUTE, "minute after the window's last one", lambda one: minute_label(one.end_minute)
    ),
    WindowField(
        "elapsed_min", FieldType.INTEGER, "elapsed minutes of the window", lambda one: one.elapsed_min, is_of_next=False
    ),
    WindowField(
        "unmeasured_min",
        FieldType.INTEGER,
        "elapsed minutes of the window whose power is unknown; they are as uncertain as the minutes to come, "
        "in the expected mean, the interval, `p_exceed` and `headroom_w`",
        lambda one: one.unmeasured_min,
        is_of_next=False,
    ),
    WindowField(
        "so_far_kw",
        FieldType.NUMBER,
        "mean of the elapsed minutes whose power is known, kW; null if there are none; "
        "with `demand.imports_only`, exported power counts as 0, here and in all means of the window",
        lambda one: _rounded_or_none(one.so_far_kw),
        is_nullable=True,
        is_of_next=False,
    ),
    WindowField(
        "expected_kw", FieldType.NUMBER, "expected mean of the whole window, kW", lambda one: _rounded(one.expected_kw)
    ),
    WindowField(
        "lower_kw",
        FieldType.NUMBER,
        "lower bound of the 90 % prediction interval of the window's mean, kW",
        lambda one: _rounded(one.lower_kw),
    ),
    WindowField(
        "median_kw",
        FieldType.NUMBER,
        "median of the predicted distribution of the mean power of the whole window, kW",
        lambda one: _rounded(one.median_kw),
    ),
    WindowField(
        "upper_kw",
        FieldType.NUMBER,
        "upper bound of the 90 % prediction interval of the window's mean, kW",
        lambda one: _rounded(one.upper_kw),
    ),
    WindowField(
        "limit_kw",
        FieldType.NUMBER,
        "limit of the window's mean, kW; null if none applies",
        lambda one: _rounded_or_none(one.limit_kw),
        is_nullable=True,
    ),
    WindowField(
        "limit_source",
        FieldType.TEXT,
        "where the limit comes from: `fixed`, `month_peak`, `set` while running, or `none`",
        lambda one: one.limit_source.value,
    ),
    WindowField(
        "p_exceed",
        FieldType.NUMBER,
        "probability that the window's mean is above the limit; 0 without a limit",
        lambda one: _rounded(one.p_exceed),
    ),
    WindowField(
        "headroom_w",
        FieldType.INTEGER,
        "constant power that can be added until the window's end at the accepted risk, W; negative: power that must be "
        "switched off; `fuse_kw` limits that of the running window, not that of `next`",
        lambda one: headroom_w(one.headroom_kw),
    ),
)

#: The fields of the object ``next``.
WINDOW_FIELDS: tuple[WindowField, ...] = tuple(field for field in RUNNING_FIELDS if field.is_of_next)

_BEFORE: tuple[DemandField, ...] = (
    DemandField("v", FieldType.INTEGER, "version of this schema", lambda one: DEMAND_SCHEMA),
    DemandField("device", FieldType.TEXT, "device id", lambda one: one.device),
    DemandField(
        "observed_at",
        FieldType.MINUTE,
        "minute of the newest reading used, as in the forecast",
        lambda one: minute_label(one.observed_minute),
    ),
    DemandField(
        "issued_at",
        FieldType.INSTANT,
        "when the forecast of this demand was issued, by the gateway's clock",
        lambda one: instant_label(one.issued_at_ms),
    ),
    DemandField("model", FieldType.TEXT, "name of the outlook model", lambda one: one.model),
    DemandField("model_version", FieldType.TEXT, "version of the outlook model", lambda one: one.model_version),
)

_AFTER: tuple[DemandField, ...] = (
    DemandField(
        "risk", FieldType.NUMBER, "probability of an exceedance that the headroom accepts", lambda one: one.risk
    ),
    DemandField(
        "month_peak_kw",
        FieldType.NUMBER,
        "highest window of the local month so far, or the mean of the highest windows of `demand.peak_days` days, kW; "
        "null before the first window",
        lambda one: _rounded_or_none(one.month_peak_kw),
        is_nullable=True,
    ),
    DemandField(
        "fuse_kw",
        FieldType.NUMBER,
        "limit of each single minute, kW; null without such a limit",
        lambda one: _rounded_or_none(one.fuse_kw),
        is_nullable=True,
    ),
    DemandField(
        "p_fuse",
        FieldType.NUMBER,
        "probability that a remaining minute of the running window is above `fuse_kw`; null without `fuse_kw`",
        lambda one: _rounded_or_none(one.p_fuse),
        is_nullable=True,
    ),
    DemandField(
        "valid_until",
        FieldType.MINUTE,
        "end of the validity of this demand: the window's end, at most 5 minutes after `observed_at`",
        lambda one: minute_label(one.valid_until_minute),
    ),
)

#: The fields of the document in order, without the last one, the object :data:`NEXT`.
DEMAND_FIELDS: tuple[DemandField | WindowField, ...] = (*_BEFORE, *RUNNING_FIELDS, *_AFTER)


def device_demand_document(
    demand: Demand, peaks: Sequence[DayPeak], timezone: str, infeasible_limit: InfeasibleLimit | None
) -> dict[str, Any]:
    """Return the JSON object of ``demand`` in REST.

    ``peaks`` are the peaks of the device's running month in ``timezone``, highest first. ``infeasible_limit`` is the
    device's limit if it is too low.
    """
    highest = [{"start": minute_label(one.start_minute), "kw": round(one.kw, DECIMALS)} for one in peaks]
    of_device = {MONTH_PEAKS: highest, TIMEZONE: timezone, LIMIT_WARNING: text_of(infeasible_limit)}
    return demand_document(demand) | of_device
