"""Forecasts a series of readings that belongs to no device, by the rules of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, tzinfo

from gapcast.core.engine import Engine
from gapcast.core.errors import RequestError
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.forecasts.forecast_range import WIDEST
from gapcast.core.models.predictor import Predictor
from gapcast.core.outlook.options import OutlookConfig, OutlookOptions
from gapcast.core.outlook.outlook import Outlook
from gapcast.core.plans.plan import NO_LOADS, LoadPlan
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.streams.buffer import ReadingStatus
from gapcast.core.time_grid import minute_label
from gapcast.core.windows.window import MAX_FILL_MIN, MIN_OBSERVED

#: A single outlook, without learning.
_OUTLOOK = OutlookOptions(max_devices=1, learns=False, calibrates=False)
#: The fix for a reading that does not follow the previous one.
_FIXES = {
    ReadingStatus.DUPLICATE: "send one reading per minute",
    ReadingStatus.LATE: "send the oldest reading first",
    ReadingStatus.HELD: "send only the readings after a gap of more than a day",
}


def forecast_series(
    model: Predictor,
    readings: Sequence[Reading],
    issued_at_ms: int,
    zone: tzinfo = UTC,
    *,
    limits: Limits = WIDEST,
) -> Forecast:
    """Forecast a series that belongs to no device: :func:`forecast_series_with_outlook` without outlook and plan."""
    return forecast_series_with_outlook(model, None, readings, issued_at_ms, zone, limits=limits)[0]


def forecast_series_with_outlook(  # noqa: PLR0913 - each has a default
    model: Predictor,
    outlook_model: Predictor | None,
    readings: Sequence[Reading],
    issued_at_ms: int,
    zone: tzinfo = UTC,
    *,
    plan: LoadPlan = NO_LOADS,
    includes_path: bool = True,
    limits: Limits = WIDEST,
) -> tuple[Forecast, Outlook | None]:
    """Forecast a series that belongs to no device, oldest first, and its ``plan``, by the rules of the stream.

    The outlook is None without ``outlook_model``. Its week of history contains only the series.

    If the model returns a value that is not finite or outside the range derived from ``limits``, the forecast is
    persistence. Raises :class:`RequestError` that names the reading if nothing can be forecast by these rules.
    """
    if len(readings) < MIN_OBSERVED:
        msg = f"readings: at least {MIN_OBSERVED} are needed, not {len(readings)}"
        raise RequestError(msg)
    outlook_config = None if outlook_model is None else OutlookConfig(outlook_model, _OUTLOOK)
    engine = Engine(model, 1, zone, includes_path=includes_path, limits=limits, outlook=outlook_config)
    before = [engine.buffers.accept(reading) for reading in readings[:-1]]  # without copying their windows
    engine.replace_plan(readings[-1].device, plan)
    newest = engine.accept(readings[-1:])
    newest.raise_failure()
    for i, status in enumerate([*before, *newest.statuses]):
        if status is ReadingStatus.INCOMPLETE:
            msg = f"readings[{i}]: {engine.explain_incomplete(readings[i])}"
            raise RequestError(msg)
        if status not in {ReadingStatus.READY, ReadingStatus.FIRST}:
            time, fix = minute_label(readings[i].minute), _FIXES.get(status, "send the readings of one device")
            msg = f"readings[{i}]: {time} does not follow the reading before ({status.value}): {fix}"
            raise RequestError(msg)
    if not newest.devices:
        fix = f"send at least {MIN_OBSERVED} readings after such a gap"
        msg = f"readings[{len(readings) - 1}]: more than {MAX_FILL_MIN} minutes are missing before it: {fix}"
        raise RequestError(msg)
    forecasts = engine.forecast(newest, issued_at_ms)
    outlooks = engine.outlook(newest, forecasts)
    outlook = None if outlooks is None else replace(outlooks[0], device=None)
    return replace(forecasts[0], device=None), outlook
