"""Streaming validation: the test part reading by reading, through the gateway's buffers.

Forecasts start with the second reading, with the padding of each model. The stream is replayed twice: uninterrupted,
and with a gateway that restarts every hour, which shows the errors by the number of readings since the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.readings.reading import Reading
from gapcast.core.streams.buffer import Buffers, ReadingStatus
from gapcast.core.windows.features import assemble
from gapcast.core.windows.window import MIN_OBSERVED, WindowSpec
from gapcast.recordings.minutes.series import Series
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.study.contenders import Contender, LineContender, load_models, of_model, persistence, study_network
from gapcast_trainer.study.household import Household
from gapcast_trainer.study.line import best_line
from gapcast_trainer.study.settings import HORIZON_MIN, StudySettings
from gapcast_trainer.study.study_errors import errors_of

RESTART_MIN = 60
#: Maximum number of readings since the start with separate scores.
SHOWN_READINGS = 30
_ROWS_AT_ONCE = 8_192


def compare(household: Household, settings: StudySettings) -> dict[str, Any]:
    """Stream the test part through persistence, two lines, every model and the study's model 1."""
    window_min, forgetting = best_line(household, settings)
    models, left_out = load_models(settings.models)
    contenders: list[Contender | LineContender] = [
        persistence(),
        LineContender("line, 30 min", 30, 1.0),
        LineContender("line, best", window_min, forgetting),
        *(of_model(model) for model in models),
    ]
    weights = settings.out / "study-1.weights.h5"
    if weights.is_file():
        contenders.append(study_network(weights))
    readings = readings_of(household.series, settings)
    rows: list[dict[str, Any]] = []
    for contender in tqdm(contenders, desc="streaming", unit="forecaster", disable=not settings.progress):
        _, forecast_kw, actual_kw = stream(contender, readings, household.series, None)
        seen, short_kw, short_actual_kw = stream(contender, readings, household.series, RESTART_MIN)
        rows.append(
            {
                "name": contender.name,
                "stream": errors_of(forecast_kw, actual_kw),
                "restarted": errors_of(short_kw, short_actual_kw),
                "by_readings": {
                    str(n): errors_of(short_kw[seen == n], short_actual_kw[seen == n])["mse_kw2"]
                    for n in range(MIN_OBSERVED, SHOWN_READINGS + 1)
                    if (seen == n).any()
                },
            }
        )
    return {"restart_min": RESTART_MIN, "forecasters": rows, "left_out": left_out}


def readings_of(series: Series, settings: StudySettings) -> list[Reading]:
    """Return the readings of the test part in order of time (the first 20,000 with ``quick``)."""
    minute = series.first_minute + np.flatnonzero(~np.isnan(series.gap_kw)).astype(np.int64)
    minute = minute[settings.split.holds(SplitPart.TEST, minute)][: 20_000 if settings.quick else None]
    kw = series.gap_kw[minute - series.first_minute]
    return [Reading("home", at, value) for at, value in zip(minute.tolist(), kw.tolist(), strict=True)]


def stream(
    contender: Contender | LineContender, readings: list[Reading], series: Series, restart_min: int | None
) -> tuple[I64, F64, F64]:
    """Process ``readings`` one by one, with a restart every ``restart_min`` minutes if given.

    Return, for each forecast with an observed outcome, the readings since the start, the forecast and
    the outcome, kW, ``[N]`` each.
    """
    if isinstance(contender, LineContender):
        found = list(_line_forecasts(contender, readings, restart_min))
        minute, seen, forecast_kw = (np.array(column) for column in zip(*found, strict=True))
    else:
        parts = [
            (at, n, contender.forecast(assemble(windows[:, :, np.newaxis], at, contender.features)))
            for at, n, windows in _windows(contender.spec, readings, restart_min)
        ]
        minute, seen, forecast_kw = (np.concatenate(column) for column in zip(*parts, strict=True))
    target = minute.astype(np.int64) + HORIZON_MIN - series.first_minute
    actual_kw = np.full(target.size, np.nan)
    inside = target < series.gap_kw.size
    actual_kw[inside] = series.gap_kw[target[inside]]
    observed = ~np.isnan(actual_kw)
    return seen[observed].astype(np.int64), forecast_kw[observed].astype(np.float64), actual_kw[observed]


def _line_forecasts(
    contender: LineContender, readings: list[Reading], restart_min: int | None
) -> Iterator[tuple[int, int, float]]:
    """Yield the minute, the readings since the start and the forecast, kW."""
    line, seen, run = contender.start(), 0, None
    for reading in readings:
        now = None if restart_min is None else reading.minute // restart_min
        if now != run:
            line, seen, run = contender.start(), 0, now
        line.add(reading.minute, reading.gap_kw)
        seen += 1
        forecast_kw = line.forecast(HORIZON_MIN)
        if forecast_kw is not None:
            yield reading.minute, seen, forecast_kw


def _windows(spec: WindowSpec, readings: list[Reading], restart_min: int | None) -> Iterator[tuple[I64, I64, F32]]:
    """Yield blocks of minutes ``[n]``, readings since the start ``[n]`` and windows ``[n, context]``."""
    minute, counts = np.empty(_ROWS_AT_ONCE, np.int64), np.empty(_ROWS_AT_ONCE, np.int64)
    block = np.empty((_ROWS_AT_ONCE, spec.context), np.float32)
    buffers, n, seen, run = Buffers(spec, 1), 0, 0, None
    for reading in readings:
        now = None if restart_min is None else reading.minute // restart_min
        if now != run:
            buffers, seen, run = Buffers(spec, 1), 0, now
        status = buffers.accept(reading)
        seen = 1 if status is ReadingStatus.FIRST else seen + 1
        if status is not ReadingStatus.READY:
            continue
        block[n] = buffers.window(reading.device)
        minute[n], counts[n] = reading.minute, seen
        n += 1
        if n == _ROWS_AT_ONCE:
            yield minute.copy(), counts.copy(), block.copy()
            n = 0
    if n:
        yield minute[:n], counts[:n], block[:n]
