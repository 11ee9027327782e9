"""Response bodies of REST about devices."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gapcast.http.demand_schemas import DeviceDemandDocument
from gapcast.http.schemas import ForecastDocument, OutlookDocument


class ReadingDocument(BaseModel):
    """One reading."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ts": "2010-11-01T00:29:00Z", "gap_kw": 1.234}]})

    ts: str = Field(description="Minute, RFC 3339")
    gap_kw: float = Field(description="Mean power of that minute, kW")


class ErrorsDocument(BaseModel):
    """Errors of the published forecasts; null without outcomes."""

    mse_kw2: float | None
    mae_kw: float | None


class MemberDocument(ErrorsDocument):
    """Errors of one ensemble member."""

    skill: float | None = Field(description="1 - MSE / MSE of persistence")


class ScoresDocument(BaseModel):
    """Forecast accuracy over one period; the same object as on the scores topic."""

    n: int = Field(description="Forecasts scored against their actual value")
    enough: bool = Field(description="Whether the minimum sample size (720) is reached")
    mse_kw2: float | None
    mae_kw: float | None
    bias_kw: float | None
    skill: float | None = Field(
        description="1 - MSE / MSE of persistence; above 0 is better than persistence (assuming no change)"
    )
    mae_skill: float | None
    coverage: float | None = Field(description="Share of actual values within the interval, 0 to 1")
    width_kw: float | None
    pinball_kw: float | None
    persistence: ErrorsDocument
    experts: dict[str, MemberDocument]


class DeviceScores(BaseModel):
    """Scores by period; a list of devices has those of the last day only."""

    last_day: ScoresDocument
    last_week: ScoresDocument | None = None
    ever: ScoresDocument | None = None


class DeviceSubmeter(BaseModel):
    """A submeter of a device, in the window of its readings."""

    name: str
    last_minute: ReadingDocument | None = Field(description="Its newest minute that a reading had; null: none")
    age_min: int | None = Field(description="Minutes from then to the device's last reading; null: none")


class PlannedLoadDocument(BaseModel):
    """One announced load."""

    kw: float = Field(description="Power while it is on, kW; negative for generation")
    from_: str | None = Field(
        default=None, alias="from", description="Start, RFC 3339; absent for a load that is on already"
    )
    until: str = Field(description="End, RFC 3339")
    name: str | None = Field(default=None, description="Name of the load, if it has one")


class PlanDocument(BaseModel):
    """The plan of a device: its announced loads that have not ended."""

    device: str
    plan: list[PlannedLoadDocument]


class LeadScoresDocument(BaseModel):
    """Scores of outlooks: a value for each lead time; null without an outcome."""

    lead_min: list[int] = Field(description="Lead times, minutes")
    n: list[int] = Field(description="Outlooks scored against their actual value")
    mse_kw2: list[float | None]
    mae_kw: list[float | None]
    bias_kw: list[float | None]
    skill: list[float | None] = Field(description="1 - MSE / MSE of persistence")
    window_skill: list[float | None] = Field(
        description="1 - MSE / MSE of the mean of the last minutes, as many as the lead time"
    )
    pinball_kw: list[float | None]
    coverage: list[float | None] = Field(description="Share of actual values within the interval, 0 to 1")
    width_kw: list[float | None]


class OutlookPeriodScores(BaseModel):
    """Scores of outlooks over one period."""

    point: LeadScoresDocument = Field(description="Of the single minute at each lead time")
    mean: LeadScoresDocument = Field(description="Of the mean of all minutes until then")


class OutlookScoresDocument(BaseModel):
    """Scores of a device's outlooks: over about a day, with less weight to what is older, and over all time."""

    last_day: OutlookPeriodScores
    ever: OutlookPeriodScores


class ReliabilityBinDocument(BaseModel):
    """Cases with a probability in one tenth."""

    n: int
    mean_p: float | None = Field(description="Their mean probability")
    share: float | None = Field(description="Share of them whose window exceeded its limit")


class DemandElapsedScores(BaseModel):
    """Scores of the probability at one time of the window; null without a case."""

    elapsed_min: int = Field(description="Minutes of the window that were over")
    n: int
    n_events: int = Field(description="Windows that exceeded their limit")
    brier: float | None = Field(description="Mean squared difference of probability and outcome")
    log_score: float | None = Field(description="Mean of -ln of the probability of the outcome")
    held_brier: float | None = Field(description="Brier score of the last reading held to the end")
    so_far_brier: float | None = Field(description="Brier score of the mean so far; null at the start")
    reliability: list[ReliabilityBinDocument] = Field(description="By tenths of the probability")


class DemandAlarms(BaseModel):
    """Windows with a probability of at least 0.5 at some time, or whose limit a rule forecast to be exceeded."""

    n: int
    n_false: int = Field(description="Those that did not exceed their limit")
    per_month: float | None = Field(description="By 30 days on which a limit applied")
    announced_3_min: float | None = Field(description="Share of exceedances announced 3 minutes before the end")
    announced_5_min: float | None = Field(description="Share of exceedances announced 5 minutes before the end")


class DemandAlarmsBySource(BaseModel):
    """Alarms of the demand, and of two simple rules."""

    gapcast: DemandAlarms
    held: DemandAlarms = Field(description="The last reading held to the end")
    so_far: DemandAlarms = Field(description="The mean so far")


class DemandScoresDocument(BaseModel):
    """Scores of a device's demands, over all windows that are over."""

    n_windows: int
    n_events: int = Field(description="Windows that exceeded their limit")
    n_days: int = Field(description="Days with such windows")
    elapsed: list[DemandElapsedScores] = Field(description="At the start, and after one and two thirds of the window")
    alarms: DemandAlarmsBySource


class DeviceDocument(BaseModel):
    """Current state of a device."""

    device: str
    online: bool | None = Field(description="Whether readings arrive; null if `devices.stale_after_min` is 0")
    last_reading: ReadingDocument
    last_reading_filled: bool = Field(
        description="Whether the meter sent nothing for most of that minute, and its last value was held"
    )
    submeters: list[DeviceSubmeter] = Field(description="Its configured submeters; empty without any")
    n_observed: int = Field(
        description="Number of real readings in the window; below `context`, the model is warming up"
    )
    context: int = Field(description="Length of the window in minutes")
    forecast: ForecastDocument | None = Field(
        description="Newest forecast, as returned by `/predict`; null before the first"
    )
    plan: list[PlannedLoadDocument] = Field(description="Announced loads that have not ended")
    scores: DeviceScores
    outlook: OutlookDocument | None = Field(
        default=None, description="Newest outlook, as returned by `/outlook`; null without one, absent in lists"
    )
    demand: DeviceDemandDocument | None = Field(
        default=None, description="Newest demand, as returned by `/demand`; null without one, absent in lists"
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
    came_kw: float | None = Field(description="Actual value at `target_at`; null if there is none yet")


class HistoryDocument(BaseModel):
    """Recent history of a device, oldest first; minutes without a reading are omitted."""

    device: str
    minutes: int = Field(description="Requested length in minutes; the gateway stores `history.minutes`")
    readings: list[ReadingDocument]
    forecasts: list[ForecastOutcome]
