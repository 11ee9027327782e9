"""Response bodies of REST with the scores of forecasts, outlooks and demands."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ErrorsDocument(BaseModel):
    """Errors of the published forecasts; null without outcomes."""

    mse_kw2: float | None
    mae_kw: float | None


class MemberDocument(ErrorsDocument):
    """Errors of one ensemble member."""

    n: int = Field(description="Forecasts of the member scored against their actual value")
    skill: float | None = Field(description="1 - MSE / MSE of persistence over the same minutes")


class ScoresDocument(BaseModel):
    """Forecast accuracy over one period; the same object as on the scores topic."""

    n: int = Field(description="Forecasts scored against their actual value")
    sufficient: bool = Field(description="Whether the minimum sample size (720) is reached")
    enough: bool = Field(description="The name of `sufficient` in 0.1.0", json_schema_extra={"deprecated": True})
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
    all_time: ScoresDocument | None = None
    ever: ScoresDocument | None = Field(
        None, description="The name of `all_time` in 0.1.0", json_schema_extra={"deprecated": True}
    )


class LeadScoresDocument(BaseModel):
    """Scores of outlooks: a value for each lead time; null without an outcome."""

    lead_min: list[int] = Field(description="Lead times, minutes")
    n: list[int] = Field(description="Outlooks scored against their actual value")
    mse_kw2: list[float | None]
    mae_kw: list[float | None]
    bias_kw: list[float | None]
    skill: list[float | None] = Field(description="1 - MSE / MSE of persistence")
    window_skill: list[float | None] = Field(
        description="1 - MSE / MSE of a reference: the mean of as many past minutes as the lead time has"
    )
    pinball_kw: list[float | None]
    coverage: list[float | None] = Field(description="Share of actual values within the interval, 0 to 1")
    width_kw: list[float | None]


class OutlookPeriodScores(BaseModel):
    """Scores of outlooks over one period."""

    point: LeadScoresDocument = Field(description="Scores of the single minute at each lead time")
    mean: LeadScoresDocument = Field(description="Scores of the mean of all minutes up to each lead time")


class OutlookScoresDocument(BaseModel):
    """Scores of a device's outlooks: over about a day, in which older outcomes count less, and over all time."""

    last_day: OutlookPeriodScores
    all_time: OutlookPeriodScores


class ReliabilityBinDocument(BaseModel):
    """The forecasts whose probability is in one tenth of the range 0 to 1."""

    n: int
    mean_p: float | None = Field(description="Mean probability of these forecasts")
    share: float | None = Field(description="Share of these forecasts whose window exceeded its limit")


class DemandElapsedScores(BaseModel):
    """Scores of the probability at one elapsed time of the window; null without a scored window."""

    elapsed_min: int = Field(description="Elapsed minutes of the window")
    n: int
    n_events: int = Field(description="Windows that exceeded their limit")
    brier: float | None = Field(description="Mean squared difference of probability and outcome")
    log_score: float | None = Field(description="Mean of -ln of the probability of the outcome")
    persistence_brier: float | None = Field(
        description="Brier score of persistence (constant power until the window's end)"
    )
    so_far_brier: float | None = Field(
        description="Brier score of a constant window mean (the mean so far); null at the start"
    )
    reliability: list[ReliabilityBinDocument] = Field(description="Reliability by tenths of the probability")


class DemandAlarms(BaseModel):
    """Alarms: windows with a probability of at least 0.5 at any time, or with an exceedance forecast by a rule."""

    n: int
    n_false: int = Field(description="False alarms: windows that did not exceed their limit")
    per_month: float | None = Field(description="Alarms per 30 days on which a limit applied")
    announced_3_min: float | None = Field(description="Share of exceedances announced 3 minutes before the end")
    announced_5_min: float | None = Field(description="Share of exceedances announced 5 minutes before the end")


class DemandAlarmsBySource(BaseModel):
    """Alarms of the demand, and of two simple rules."""

    gapcast: DemandAlarms
    persistence: DemandAlarms = Field(description="Alarms of persistence (constant power until the window's end)")
    so_far: DemandAlarms = Field(description="Alarms of a constant window mean (the mean so far)")


class DemandScoresDocument(BaseModel):
    """Scores of a device's demands, over all windows that have ended."""

    n_windows: int
    n_events: int = Field(description="Windows that exceeded their limit")
    n_days: int = Field(description="Days with scored windows")
    elapsed: list[DemandElapsedScores] = Field(
        description="Scores at the start, and after one and two thirds of the window"
    )
    alarms: DemandAlarmsBySource
