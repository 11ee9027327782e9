"""gapcast as a library: one house, forecast reading by reading, without MQTT or HTTP, and without state on the disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from gapcast.app.models import engine_of, load_models
from gapcast.bundled import models_path
from gapcast.config.settings import ModelSettings, Settings, SiteSettings
from gapcast.core.buffer import ReadingStatus
from gapcast.core.forecast import Forecast
from gapcast.core.grid import MINUTE_MS
from gapcast.core.learning.summary import Period, Summary
from gapcast.core.reading import Reading
from gapcast.predictors.library import Library

_HOUSE = "house"
_REJECTED = {
    ReadingStatus.DUPLICATE: "there is a reading of this minute already",
    ReadingStatus.LATE: "it is older than the last reading",
    ReadingStatus.INCOMPLETE: "the model takes measured features beside power",
}


class Forecaster:
    """Forecasts one house and learns from its outcomes, with the rules and the ensemble of the service.

    ``time_zone`` (IANA) is that of the house's daily habits, ``models`` a folder of models instead of the bundled ones.
    Not thread-safe. Raises :class:`~gapcast.core.errors.ModelError` if the models cannot be loaded.

    >>> from datetime import UTC, datetime, timedelta
    >>> house, start = Forecaster(), datetime(2026, 1, 1, tzinfo=UTC)
    >>> house.add(0.4, start) is None  # one reading is too few
    True
    >>> forecast = house.add(0.4, start + timedelta(minutes=1))
    >>> forecast.horizon_min, forecast.lower_kw <= forecast.median_kw <= forecast.upper_kw
    (5, True)
    """

    def __init__(self, *, time_zone: str = "UTC", models: Path | None = None) -> None:
        settings = Settings(site=SiteSettings(timezone=time_zone), models=ModelSettings(path=models))
        loaded = load_models(settings, Library((models or models_path(),)))
        self._limits = settings.limits
        self._engine = engine_of(settings, loaded)

    def add(self, power_kw: float, at: datetime) -> Forecast | None:
        """Take the mean power of a minute; return the forecast from it, and learn from its outcome.

        ``at`` is any instant within the minute, with a time zone. Returns None after the first reading, and after one
        that is more than a day ahead, which the next one confirms. Raises :class:`ValueError` for a reading that is not
        newer than the last one, is out of range, or has no time zone.
        """
        if at.tzinfo is None:
            msg = f"{at.isoformat()}: the time has no time zone; use datetime(..., tzinfo=UTC), for instance"
            raise ValueError(msg)
        low_kw, high_kw = self._limits.min_kw, self._limits.max_kw
        if not low_kw <= power_kw <= high_kw:
            msg = f"{at.isoformat()}: {power_kw:g} kW is outside {low_kw:g} to {high_kw:g} kW; convert watts to kW"
            raise ValueError(msg)
        minute = int(at.timestamp() * 1_000) // MINUTE_MS
        accepted = self._engine.accept([Reading(_HOUSE, minute, float(power_kw))])
        accepted.raise_failure()
        if (problem := _REJECTED.get(accepted.statuses[0])) is not None:
            msg = f"{at.isoformat()}: {problem}"
            raise ValueError(msg)
        forecasts = self._engine.forecast(accepted, time.time_ns() // 1_000_000)
        self._engine.learn()
        return forecasts[0] if len(forecasts) else None

    @property
    def scores(self) -> Mapping[Period, Summary]:
        """Scores of the forecasts so far by period (``last_day``, ``last_week``, ``ever``), against persistence."""
        return self._engine.scores_of(_HOUSE) if _HOUSE in self._engine.buffers else {}
