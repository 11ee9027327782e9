"""What goes out over REST of each device."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gapcast.http.schemas import ForecastDocument


class ReadingDocument(BaseModel):
    """One reading."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ts": "2010-11-01T00:29:00Z", "gap_kw": 1.234}]})

    ts: str = Field(description="Minute, RFC 3339")
    gap_kw: float = Field(description="Mean power of that minute, kW")


class ErrorsDocument(BaseModel):
    """Errors of whoever spoke; null where there were none."""

    mse_kw2: float | None
    mae_kw: float | None


class ExpertDocument(ErrorsDocument):
    """Errors of one expert."""

    skill: float | None = Field(description="1 - MSE / MSE of persistence")


class ScoresDocument(BaseModel):
    """How good the forecasts of one period were; the same object as on the scores topic."""

    n: int = Field(description="Forecasts whose minute has come")
    enough: bool = Field(description="Whether these are enough for a verdict")
    mse_kw2: float | None
    mae_kw: float | None
    bias_kw: float | None
    skill: float | None = Field(description="1 - MSE / MSE of persistence; above 0 is better than assuming no change")
    mae_skill: float | None
    coverage: float | None = Field(description="Share of outcomes within the interval, 0 to 1")
    width_kw: float | None
    pinball_kw: float | None
    persistence: ErrorsDocument
    experts: dict[str, ExpertDocument]


class DeviceScores(BaseModel):
    """Scores by period; a list of devices has the last day's alone."""

    last_day: ScoresDocument
    last_week: ScoresDocument | None = None
    ever: ScoresDocument | None = None


class DeviceDocument(BaseModel):
    """Where a device stands."""

    device: str
    online: bool | None = Field(description="Whether readings come; null where the gateway does not look")
    last_reading: ReadingDocument
    n_observed: int = Field(description="Real readings in the window; below `context`, the model is warming up")
    context: int = Field(description="Minutes in the window")
    forecast: ForecastDocument | None = Field(description="The newest, as `/predict` tells it; null before the first")
    scores: DeviceScores


class DevicePage(BaseModel):
    """Devices by name."""

    devices: list[DeviceDocument]
    n_devices: int = Field(description="How many there are on all pages")
    next: str | None = Field(description="What to give as `after` for the next page; null on the last one")


class ForecastOutcome(BaseModel):
    """A forecast beside what came."""

    observed_at: str
    target_at: str
    gap_kw: float = Field(description="Mean, kW")
    median_kw: float | None
    lower_kw: float | None
    upper_kw: float | None
    came_kw: float | None = Field(description="What was read at `target_at`; null where nothing was, or not yet")


class HistoryDocument(BaseModel):
    """The last minutes of a device, oldest first; minutes without a reading are left out."""

    device: str
    minutes: int = Field(description="How far back it was asked to go; the gateway keeps `history.minutes` of them")
    readings: list[ReadingDocument]
    forecasts: list[ForecastOutcome]
