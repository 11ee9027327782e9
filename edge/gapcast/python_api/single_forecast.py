"""gapcast as a library: one forecast from a list, an array or a pandas Series, as ``POST /predict`` makes it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.app.models.loaded_models import Models
from gapcast.app.models.primary_model import possible_horizons
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.documents.message_format import shown_argument
from gapcast.core.errors import RequestError
from gapcast.core.forecasts.forecast import Forecast
from gapcast.core.horizons.lead_time_view import at_horizon
from gapcast.core.models.predictor import Predictor, history_steps_of
from gapcast.core.readings.reading import Limits, Reading
from gapcast.core.series import forecast_series
from gapcast.core.streams.quarters import STEP_MIN
from gapcast.core.time_grid import DAY_MIN, MINUTE_MS
from gapcast.core.windows.window import MAX_FILL_MIN, MIN_OBSERVED
from gapcast.predictors.models_folder.library import Library
from gapcast.python_api.arguments import checked_lead_min, checked_powers_kw, checked_time, folder_of_models
from gapcast.python_api.model_cache import cached_models
from gapcast.recordings.minutes.minute_means import sampling_of

_LIMITS = Limits()
#: Kinds of an index that numbers the values instead of giving their times.
_NUMBERS = "iu"


def forecast(
    readings_kw: Iterable[float | None],
    minutes: int = 5,
    *,
    at: datetime | None = None,
    models: Path | str | None = None,
) -> Forecast:
    """Return the forecast ``minutes`` after the newest of ``readings_kw``, mean powers of minutes (kW), oldest first.

    They are a list, a numpy array or a pandas Series; None, NaN and masked values are missing minutes, of which up to
    five in a row are filled. ``at`` is any instant in the newest minute, with the time zone of the house (default: now,
    by the machine's clock); a Series with a DatetimeIndex has its own times and time zone. ``models`` is a folder of
    models instead of the bundled ones. Nothing is stored or learned.

    Raises :class:`ValueError`, with the value, for invalid arguments, such as ``minutes`` that no model forecasts;
    :class:`~gapcast.core.errors.ModelError` if the models cannot be loaded.

    >>> made = forecast([0.3] * 55 + [2.4] * 5)
    >>> made.horizon_min, made.lower_kw <= made.median_kw <= made.upper_kw
    (5, True)
    """
    minutes = checked_lead_min(minutes)
    minute, power_kw, zone = _minutes_of(readings_kw, at)
    _check_range(power_kw)
    library = Library((folder_of_models(models),))
    loaded = cached_models(library, library.stamp(), has_ensemble=False)
    model = _model_for(minutes, loaded)
    history_min = history_steps_of(model) * STEP_MIN
    minute, power_kw = _newest(minute, power_kw, model.spec.context, history_min)
    readings = [Reading("series", *one) for one in zip(minute.tolist(), power_kw.tolist(), strict=True)]
    try:
        return forecast_series(model, readings, time.time_ns() // 1_000_000, zone, limits=_LIMITS)
    except RequestError as error:
        msg = f"readings_kw: {error}"
        raise ValueError(msg) from error


def _minutes_of(readings_kw: Any, at: datetime | None) -> tuple[I64, F64, tzinfo]:
    """Return the minute (since the epoch) and the value of each reading, ``[N]``, NaN if missing, and the time zone."""
    index = None
    if type(readings_kw).__module__.partition(".")[0] == "pandas":  # without importing it
        if hasattr(readings_kw, "columns"):
            msg = "readings_kw: is a DataFrame, not a Series; select its column with the power, in kW"
            raise ValueError(msg)
        index = getattr(readings_kw, "index", None)
    elif not isinstance(readings_kw, np.ndarray):
        if not isinstance(readings_kw, Iterable) or isinstance(readings_kw, Mapping | str | bytes | bytearray):
            expected = "must be a list, an array or a Series of the powers of minutes, kW"
            msg = f"readings_kw={shown_argument(readings_kw)}: {expected}"
            raise ValueError(msg)
        readings_kw = list(readings_kw)
    power_kw = checked_powers_kw(readings_kw)
    if index is not None and hasattr(index, "tz"):
        if at is not None:
            msg = f"at={at.isoformat()}: the index of the Series has the times already; omit one of them"
            raise ValueError(msg)
        return _minutes_of_index(index), power_kw, index.tz
    if index is not None and at is None and index.dtype.kind not in _NUMBERS:
        fix = "convert it by pandas.to_datetime, for instance with utc=True and tz_convert, or give at"
        msg = f"readings_kw: the index of the Series, of {index.dtype}, is no DatetimeIndex; {fix}"
        raise ValueError(msg)
    at = datetime.now().astimezone() if at is None else checked_time(at)
    newest = int(at.timestamp() * 1_000) // MINUTE_MS
    return newest - np.arange(power_kw.size - 1, -1, -1, dtype=np.int64), power_kw, at.tzinfo or UTC


def _minutes_of_index(index: Any) -> I64:
    """Return the minutes of a DatetimeIndex with a time zone and one value a minute."""
    if index.tz is None:
        msg = "readings_kw: its times have no time zone; use readings_kw.tz_localize('Europe/Berlin'), for instance"
        raise ValueError(msg)
    if index.hasnans:
        msg = "readings_kw: a time of its index is missing (NaT); use readings_kw[readings_kw.index.notna()]"
        raise ValueError(msg)
    instant_ms = np.asarray(index.tz_convert("UTC").tz_localize(None), dtype="datetime64[ms]").astype(np.int64)
    back = np.flatnonzero(np.diff(instant_ms) <= 0)
    if back.size:
        msg = f"readings_kw: {index[int(back[0]) + 1]} is not after {index[int(back[0])]}; sort the times, each once"
        raise ValueError(msg)
    if instant_ms.size and (sampling := sampling_of(instant_ms)).hold_min is not None:
        if sampling.usual_s * 1_000 <= MINUTE_MS:
            fix, method = "average them", "mean()"
        else:
            fix, method = "repeat each until the next one", f"ffill(limit={sampling.hold_min - 1:.0f})"
        msg = (
            f"readings_kw: one value a minute is needed, and these are {sampling.usual_s:g} s apart; "
            f"{fix} first, such as by readings_kw.resample('1min').{method}"
        )
        raise ValueError(msg)
    return instant_ms // MINUTE_MS


def _check_range(power_kw: F64) -> None:
    low_kw, high_kw = _LIMITS.min_kw, _LIMITS.max_kw
    outside = np.flatnonzero((power_kw < low_kw) | (power_kw > high_kw))
    if outside.size:
        at = int(outside[0])
        value = f"{power_kw[at]:g} kW is outside {low_kw:g} to {high_kw:g} kW; convert watts to kW"
        msg = f"readings_kw[{at}]: {value}"
        raise ValueError(msg)


def _newest(minute: I64, power_kw: F64, context: int, history_min: int) -> tuple[I64, F64]:
    """Return the readings for a window of ``context`` minutes: those since the last gap that is not filled.

    A model with a history also reads the ``history_min`` minutes before, since the last gap of a day.
    """
    present = ~np.isnan(power_kw)
    minute, power_kw = minute[present], power_kw[present]
    if minute.size < MIN_OBSERVED:
        msg = f"readings_kw: at least {MIN_OBSERVED} are needed, not {minute.size}"
        raise ValueError(msg)
    gaps = np.flatnonzero(np.diff(minute) > MAX_FILL_MIN + 1)
    first = int(gaps[-1]) + 1 if gaps.size else 0
    if minute.size - first < MIN_OBSERVED:
        msg = f"readings_kw: more than {MAX_FILL_MIN} minutes are missing before the newest; {MIN_OBSERVED} are needed"
        raise ValueError(msg)
    look_back_min = context + MAX_FILL_MIN
    if history_min:
        long_gaps = np.flatnonzero(np.diff(minute) > DAY_MIN)
        first, look_back_min = (
            int(long_gaps[-1]) + 1 if long_gaps.size else 0,
            max(look_back_min, history_min + STEP_MIN),
        )
    first = max(first, int(np.searchsorted(minute, minute[-1] - look_back_min)))
    return minute[first:], power_kw[first:]


def _model_for(minutes: int, loaded: Models) -> Predictor:
    """Return the default model if it forecasts ``minutes`` ahead, else the first model by name that does."""
    for model in (loaded.primary, *(model for _, model in sorted(loaded.by_name.items()))):
        if minutes in model.lead_times_min:
            return at_horizon(model, minutes)
    possible = possible_horizons(loaded.by_name.values())
    msg = f"minutes={minutes}: no model has this lead time; possible are {possible}"
    raise ValueError(msg)
