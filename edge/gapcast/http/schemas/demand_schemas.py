"""Response bodies of REST about demands and headrooms."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, JsonValue

from gapcast.core.billing.infeasible_limit import LIMIT_WARNING
from gapcast.core.demand.documents.document import (
    DEMAND_FIELDS,
    MONTH_PEAKS,
    N_MONTH_PEAKS,
    NEXT,
    TIMEZONE,
    WINDOW_FIELDS,
)
from gapcast.core.demand.documents.headroom_document import HEADROOM_FIELDS, HEADROOM_WINDOW_FIELDS, WINDOWS
from gapcast.http.schemas.forecast_schemas import definitions_of, document_model

_WINDOW: dict[str, JsonValue] = {
    "window_start": "2026-11-03T17:15:00Z",
    "window_end": "2026-11-03T17:30:00Z",
    "expected_kw": 1.61,
    "lower_kw": 0.84,
    "median_kw": 1.52,
    "upper_kw": 3.1,
    "limit_kw": 3.2,
    "limit_source": "month_peak",
    "p_exceed": 0.043,
    "headroom_w": 100,
}
_DEMAND: dict[str, JsonValue] = {
    "v": 1,
    "device": "home",
    "observed_at": "2026-11-03T17:05:00Z",
    "issued_at": "2026-11-03T17:06:00.214Z",
    "model": "outlook",
    "model_version": "2",
    "window_start": "2026-11-03T17:00:00Z",
    "window_end": "2026-11-03T17:15:00Z",
    "elapsed_min": 6,
    "unmeasured_min": 0,
    "so_far_kw": 2.31,
    "expected_kw": 2.02,
    "lower_kw": 1.52,
    "median_kw": 1.95,
    "upper_kw": 2.94,
    "limit_kw": 3.2,
    "limit_source": "month_peak",
    "p_exceed": 0.021,
    "headroom_w": 433,
    "risk": 0.05,
    "month_peak_kw": 3.2,
    "fuse_kw": None,
    "p_fuse": None,
    "valid_until": "2026-11-03T17:10:00Z",
    "next": _WINDOW,
}
_HEADROOM_WINDOW: dict[str, JsonValue] = {
    "window_start": "2026-11-03T17:00:00Z",
    "window_end": "2026-11-03T17:15:00Z",
    "load_min": 9,
    "limit_kw": 3.2,
    "median_kw": 3.15,
    "p_exceed": 0.48,
    "approximate": False,
}
_HEADROOM: dict[str, JsonValue] = {
    "v": 1,
    "device": "home",
    "observed_at": "2026-11-03T17:05:00Z",
    "issued_at": "2026-11-03T17:06:00.214Z",
    "kw": 2.0,
    "minutes": 9,
    "start": "2026-11-03T17:06:00Z",
    "allowed": False,
    "p_exceed": 0.48,
    "p_exceed_without": 0.021,
    "fuse_kw": None,
    "p_fuse": None,
    "risk": 0.05,
    "max_kw": 0.433,
    "earliest_start": "2026-11-03T17:47:00Z",
    "valid_until": "2026-11-03T17:10:00Z",
    "windows": [_HEADROOM_WINDOW],
}


_PEAKS = f"Highest windows of the local month so far, at most one per day and {N_MONTH_PEAKS} in all, highest first"
_LIMIT_WARNING = (
    "Warning if the fixed limit is below every window of the last day, so that it is always exceeded; otherwise null"
)


class PeakWindow(BaseModel):
    """A day's highest window."""

    start: str = Field(description="First minute of the window")
    kw: float = Field(description="Mean power of the window, kW")


WindowDocument: Any = document_model(
    "WindowDocument",
    "The billing window after the running one.",
    _WINDOW,
    definitions_of(WINDOW_FIELDS),
)
_DEMAND_DEFINITIONS = definitions_of(DEMAND_FIELDS) | {
    NEXT: (WindowDocument, Field(description="The window after the running one"))
}
DemandDocument: Any = document_model(
    "DemandDocument",
    "A demand: the running billing window; the same object as on the demand topic.",
    _DEMAND,
    _DEMAND_DEFINITIONS,
)
DeviceDemandDocument: Any = document_model(
    "DeviceDemandDocument",
    "The demand of a device, with the month's highest windows and a warning.",
    _DEMAND
    | {
        MONTH_PEAKS: [{"start": "2026-11-02T17:45:00Z", "kw": 3.2}],
        TIMEZONE: "Europe/Brussels",
        LIMIT_WARNING: None,
    },
    _DEMAND_DEFINITIONS
    | {
        MONTH_PEAKS: (list[PeakWindow], Field(description=_PEAKS)),
        TIMEZONE: (str, Field(description="IANA time zone of the windows and of the month, `site.timezone`")),
        LIMIT_WARNING: (str | None, Field(description=_LIMIT_WARNING)),
    },
)
HeadroomWindowDocument: Any = document_model(
    "HeadroomWindowDocument",
    "A window that the load touches.",
    _HEADROOM_WINDOW,
    definitions_of(HEADROOM_WINDOW_FIELDS),
)
HeadroomDocument: Any = document_model(
    "HeadroomDocument",
    "Whether a load may be drawn; the same object as the answer over MQTT.",
    _HEADROOM,
    definitions_of(HEADROOM_FIELDS)
    | {
        WINDOWS: (list[HeadroomWindowDocument], Field(description="The windows that the load touches if it starts now"))
    },
)


class DemandList(BaseModel):
    """The newest demands, by device."""

    demands: list[DemandDocument]
    limit_warnings: dict[str, str] = Field(description="For each device whose limit is always exceeded: the reason")
    n_devices: int = Field(description="Number of devices that have a demand, over all pages")
    next: str | None = Field(description="Value of `after` for the next page; null on the last page")


class SetLimitDocument(BaseModel):
    """The limit of a device that was set while running."""

    device: str
    kw: float | None = Field(description="Limit, kW; null: the configured one applies")
    limit_warning: str | None = Field(description=_LIMIT_WARNING)


class MonthPeakDocument(BaseModel):
    """The corrected peak of a device's running month."""

    device: str
    kw: float = Field(description="Mean of the month's highest window, kW")
    at: str | None = Field(description="A minute of that window, RFC 3339; null if the request did not name one")
