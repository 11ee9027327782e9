"""Response bodies of REST about devices."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gapcast.http.schemas.demand_schemas import DeviceDemandDocument
from gapcast.http.schemas.forecast_schemas import ForecastDocument, OutlookDocument
from gapcast.http.schemas.score_schemas import DemandScoresDocument, DeviceScores, OutlookScoresDocument


class ReadingDocument(BaseModel):
    """One reading."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ts": "2010-11-01T00:29:00Z", "gap_kw": 1.234}]})

    ts: str = Field(description="Minute, RFC 3339")
    gap_kw: float = Field(description="Mean power of that minute, kW")


class DeviceSubmeter(BaseModel):
    """A submeter of a device, in the window of its readings."""

    name: str
    last_minute: ReadingDocument | None = Field(
        description="Newest minute of the submeter in the readings of the window; null if there is none"
    )
    age_min: int | None = Field(
        description="Minutes from that minute to the device's last reading; null if there is none"
    )


class PlannedLoadDocument(BaseModel):
    """One announced load."""

    kw: float = Field(description="Power while the load is on, kW; negative for generation")
    from_: str | None = Field(
        default=None, alias="from", description="Start, RFC 3339; absent if the load is already on"
    )
    until: str = Field(description="End, RFC 3339")
    name: str | None = Field(default=None, description="Name of the load, if it has one")


class PlanDocument(BaseModel):
    """The plan of a device: its announced loads that have not ended."""

    device: str
    plan: list[PlannedLoadDocument]


class DeviceDocument(BaseModel):
    """Current state of a device."""

    device: str
    online: bool | None = Field(
        description="Whether readings arrive; null: not known yet, or `devices.stale_after_min` is 0"
    )
    clock_offset_min: int | None = Field(
        description="How far the timestamps of its readings are ahead of the gateway's clock when they arrive, "
        "minutes; negative: behind; null within 6 minutes behind and 1 minute ahead"
    )
    last_reading: ReadingDocument
    last_reading_filled: bool = Field(
        description="Whether the meter sent nothing for most of that minute, so that its last value was used"
    )
    submeters: list[DeviceSubmeter] = Field(description="The device's configured submeters; may be empty")
    n_observed: int = Field(
        description="Number of measured readings in the window; below `context`, the model is warming up"
    )
    context: int = Field(description="Length of the window in minutes")
    tracked: bool = Field(
        description="Whether the device is scored and learned from; false beyond the first `learning.max_devices`"
    )
    has_trees: bool = Field(
        description="Whether the trees of the nightly refit are in use; if not, the member `refit` equals `learned`"
    )
    forecast: ForecastDocument | None = Field(
        description="Newest forecast, as returned by `/predict`; null before the first"
    )
    plan: list[PlannedLoadDocument] = Field(description="Announced loads that have not ended")
    scores: DeviceScores
    outlook: OutlookDocument | None = Field(
        default=None, description="Newest outlook, as returned by `/outlook`; null if there is none, absent in lists"
    )
    demand: DeviceDemandDocument | None = Field(
        default=None, description="Newest demand, as returned by `/demand`; null if there is none, absent in lists"
    )
    outlook_scores: OutlookScoresDocument | None = Field(
        default=None, description="Accuracy of its outlooks; null for a device without outlooks, absent in lists"
    )
    demand_scores: DemandScoresDocument | None = Field(
        default=None, description="Accuracy of its demands; null for a device without a limit, absent in lists"
    )


class DevicePage(BaseModel):
    """Devices by name."""

    devices: list[DeviceDocument]
    n_devices: int = Field(description="Number of devices over all pages")
    next: str | None = Field(description="Value of `after` for the next page; null on the last page")


class ForecastOutcome(BaseModel):
    """A forecast with its actual value."""

    observed_at: str
    target_at: str
    gap_kw: float = Field(description="Mean forecast, kW")
    median_kw: float | None
    lower_kw: float | None
    upper_kw: float | None
    actual_kw: float | None = Field(description="Actual value at `target_at`; null if there is none yet")
    came_kw: float | None = Field(
        description="The name of `actual_kw` in 0.1.0", json_schema_extra={"deprecated": True}
    )


class HistoryDocument(BaseModel):
    """Recent history of a device, oldest first; minutes without a reading are omitted."""

    device: str
    minutes: int = Field(description="Requested length in minutes; the gateway stores `history.minutes`")
    readings: list[ReadingDocument]
    forecasts: list[ForecastOutcome]
