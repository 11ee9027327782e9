"""Accuracy of the forecasts in houses of other kinds, made by modifying a recording.

``python -m bench.modified_houses FILE [--time-column NAME --value-column NAME --unit W] [--limit N]`` changes readings
of one house in many ways (export of solar power, coarse meters, gaps, long absence, new loads, wrong units) and runs
the service's engine over each result from its first reading on, without the nightly refit. Per kind: the skill against
persistence, by squared error of the mean and absolute error of the median, in the first seven days and after them, the
worst week after the first, and the coverage of the interval, with its lowest and highest week. Weeks are counted from
the first forecast; weeks with fewer than 5,000 outcomes do not count. ``docs/accuracy.md`` has a result.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import numpy as np

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.houses import FilePart
from gapcast.backtest.run import BATCH_READINGS, read_houses
from gapcast.config.loader import load
from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.streams.minute_runs import MinuteRun
from gapcast.core.time_grid import DAY_MIN, WEEK_MIN
from gapcast.recordings.text.layout import FileFormat, Layout

#: Minimum number of outcomes for a week to count, and the highest power of a reading, kW.
MIN_WEEK, MAX_KW = 5_000, 100.0
#: Columns of the sums of a week: losses of the published forecast and of persistence, hits and number of outcomes.
SQUARED, ABSOLUTE, HITS, N = slice(0, 2), slice(2, 4), 4, 5

#: Changes the power of consecutive minutes ``[M]``, kW, NaN where unknown; the second argument is their minutes since
#: the epoch.
Kind = Callable[[F64, I64], F64]


def _draw() -> np.random.Generator:
    return np.random.default_rng(1)


def _sun_kw(minutes: I64) -> F64:
    """Return up to 4 kW of solar power on days with varying cloud cover, from 06:00 to 20:00 UTC."""
    draw = _draw()
    height = np.sin((minutes % DAY_MIN - 360) / 840 * np.pi).clip(0)
    days = minutes // DAY_MIN - minutes[0] // DAY_MIN
    clear = draw.choice((0.3, 0.6, 1.0), days[-1] + 1)[days]
    passing = np.repeat(draw.uniform(0.4, 1.0, len(minutes) // 5 + 1), 5)[: len(minutes)]
    sun_kw: F64 = 4.0 * height * clear * np.where(clear < 1, passing, 1.0)
    return sun_kw


def _counter(kw: F64, step_kwh: float) -> F64:
    """Return the power as measured by an energy counter with steps of ``step_kwh``."""
    counts = np.floor(np.nan_to_num(kw).cumsum() / 60 / step_kwh)
    return np.where(np.isnan(kw), np.nan, np.diff(counts, prepend=0.0) * step_kwh * 60)


def _with_gaps(kw: F64, mean_min: int, shortest_min: int, longest_min: int) -> F64:
    """Return ``kw`` with gaps of these lengths, one per ``mean_min`` minutes on average."""
    draw, kw = _draw(), kw.copy()
    for begin in np.flatnonzero(draw.random(len(kw)) < 1 / mean_min).tolist():
        kw[begin : begin + int(draw.integers(shortest_min, longest_min + 1))] = np.nan
    return kw


def _car_kw(minutes: I64) -> F64:
    """Return 7.2 kW for one to four hours each evening."""
    draw, kw = _draw(), np.zeros(len(minutes))
    for midnight in np.flatnonzero(minutes % DAY_MIN == 0).tolist():
        begin = midnight + int(draw.integers(17 * 60, 23 * 60))
        kw[begin : begin + int(draw.integers(60, 240))] = 7.2
    return kw


def _within(kw: F64, first: int, last: int, changed: F64) -> F64:
    """Return ``kw`` with the minutes from the day ``first`` to before ``last`` after the middle replaced."""
    middle, kw = len(kw) // 2, kw.copy()
    part = slice(middle + first * DAY_MIN, middle + last * DAY_MIN)
    kw[part] = changed[part]
    return kw


def _standby(kw: F64, base_kw: float, noise_kw: float) -> F64:
    return base_kw + np.abs(_draw().normal(0, noise_kw, len(kw)))


def _fridge_kw(minutes: I64) -> F64:
    return np.where(minutes % 47 < 14, 0.09, 0.0) + np.abs(_draw().normal(0, 0.001, len(minutes)))


def _shower_kw(kw: F64) -> F64:
    draw, shower_kw = _draw(), np.zeros(len(kw))
    for begin in np.flatnonzero(draw.random(len(kw)) < 3 / DAY_MIN).tolist():
        shower_kw[begin : begin + int(draw.integers(4, 10))] = 9.0
    return shower_kw


KINDS: dict[str, Kind] = {
    "as recorded": lambda kw, _: kw,
    "4 kW of solar power, negative while it is fed in": lambda kw, at: kw - _sun_kw(at),
    "the same, but nothing is fed in": lambda kw, at: np.maximum(kw - _sun_kw(at), 0.0),
    "sign reversed": lambda kw, _: -kw,
    "a tenth": lambda kw, _: kw / 10,
    "tenfold": lambda kw, _: np.minimum(kw * 10, MAX_KW),
    "steps of 100 W": lambda kw, _: kw.round(1),
    "energy counter, steps of 10 Wh": lambda kw, _: _counter(kw, 0.01),
    "each value repeated for 5 minutes": lambda kw, _: kw[np.arange(len(kw)) // 5 * 5],
    "gaps of 1 to 8 minutes, one an hour": lambda kw, _: _with_gaps(kw, 60, 1, 8),
    "gaps of 1 to 6 hours, one a day": lambda kw, _: _with_gaps(kw, DAY_MIN, 60, 360),
    "stuck for three days": lambda kw, _: _within(kw, 0, 3, np.full(len(kw), np.nanmedian(kw))),
    "a car each evening, from the middle on": lambda kw, at: _within(kw, 0, len(kw), kw + _car_kw(at)),
    "a car each evening, until the middle": lambda kw, at: _within(kw + _car_kw(at), 0, len(kw), kw),
    "two weeks away, with a refrigerator": lambda kw, at: _within(kw, 0, 14, 0.06 + _fridge_kw(at)),
    "one day with 30 times the power": lambda kw, _: _within(kw, 0, 1, np.minimum(kw * 30, MAX_KW)),
    "one day with reversed sign": lambda kw, _: _within(kw, 0, 1, -kw),
    "empty (4 W) until the middle": lambda kw, _: _within(_standby(kw, 0.004, 0.001), 0, len(kw), kw),
    "an electric shower and 100 W": lambda kw, _: _shower_kw(kw) + _standby(kw, 0.1, 0.002),
}


def run(kinds: dict[str, tuple[I64, F64]]) -> dict[str, dict[int, F64]]:
    """Run the engine over the minutes and powers of each of ``kinds``; return the sums of each by week."""
    settings = load(None, {}, {"learning": {"refit": False}, "outlook": {"enabled": False}})
    engine = engine_of(settings, load_models(settings))
    sums: dict[str, dict[int, F64]] = {name: {} for name in kinds}
    n_each = BATCH_READINGS // len(kinds)
    for first in range(0, max(len(minutes) for minutes, _ in kinds.values()), n_each):
        part = slice(first, first + n_each)
        runs = [
            MinuteRun(str(i), minutes[part], kw[part], np.zeros(len(kw[part]), dtype=bool))
            for i, (minutes, kw) in enumerate(kinds.values())
            if len(minutes) > first
        ]
        accepted = engine.accept_runs(runs)
        accepted.raise_failure()
        engine.forecast(accepted, 0)
        outcomes, _ = engine.learn()
        if outcomes is None:
            continue
        mean_kw, median_kw, lower_kw, upper_kw = outcomes.published_kw.T
        actual_kw, last_kw = outcomes.actual_kw, outcomes.last_kw
        hits = (lower_kw <= actual_kw) & (actual_kw <= upper_kw)
        squared, absolute = (mean_kw - actual_kw) ** 2, np.abs(median_kw - actual_kw)
        of_persistence = (last_kw - actual_kw) ** 2, np.abs(last_kw - actual_kw)
        terms = np.stack((squared, of_persistence[0], absolute, of_persistence[1], hits, np.ones(len(hits))), axis=1)
        for i, (name, (minutes, _)) in enumerate(kinds.items()):
            own = outcomes.rows == engine.buffers.row(str(i))
            weeks = (outcomes.minutes - minutes[0]) // WEEK_MIN
            for week in np.unique(weeks[own]).tolist():
                sums[name][week] = sums[name].get(week, 0.0) + terms[own & (weeks == week)].sum(0)
    return sums


def skills(sums: F64) -> tuple[float, float]:
    """Return the skill, percent, by squared and by absolute error."""
    mse, mae = (100 * (1 - published / persistence) for published, persistence in (sums[SQUARED], sums[ABSOLUTE]))
    return mse, mae


def row(name: str, weeks: dict[int, F64]) -> str:
    """Return the row of a table."""
    counted = {week: sums for week, sums in weeks.items() if sums[N] >= MIN_WEEK}
    later = [sums for week, sums in weeks.items() if week]
    worst = np.min([skills(sums) for week, sums in counted.items() if week], axis=0)
    coverage = [100 * sums[HITS] / sums[N] for sums in counted.values()]
    total = np.sum([*weeks.values()], axis=0)
    figures = [f"{mse:.1f} / {mae:.1f}" for mse, mae in (skills(weeks[0]), skills(np.sum(later, axis=0)), worst)]
    covered = f"{100 * total[HITS] / total[N]:.1f} ({min(coverage):.1f} to {max(coverage):.1f})"
    return f"| {name} | {' | '.join(figures)} | {covered} |"


def main() -> None:
    """Run all kinds, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.modified_houses", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--time-column", default="")
    parser.add_argument("--value-column", default="")
    parser.add_argument("--unit", default="")
    parser.add_argument("--start", metavar="ISO", help="first reading")
    parser.add_argument(
        "--limit", type=int, metavar="N", default=42 * DAY_MIN, help="minutes at most (default: 42 days)"
    )
    chosen = parser.parse_args()
    columns = (
        Layout(chosen.time_column, chosen.value_column, unit=chosen.unit, zone=UTC) if chosen.time_column else None
    )
    part = FilePart(chosen.start, chosen.limit)
    (recording,) = read_houses(load(None, {}, {}), [chosen.file], FileFormat(columns), part).values()
    series, first = recording.series, part.first_minute
    begin = 0 if first is None else max(0, first - series.first_minute)
    recorded_kw = series.gap_kw[begin : begin + chosen.limit].astype(np.float64)
    minutes = series.first_minute + begin + np.arange(len(recorded_kw))
    if len(recorded_kw) < 3 * WEEK_MIN:
        parser.error(f"{chosen.file}: has less than three weeks to read")
    kinds = {}
    for name, kind in KINDS.items():
        kw = kind(recorded_kw, minutes)
        known = ~np.isnan(kw)
        kinds[name] = minutes[known], kw[known]
    print("| house | first week | after it | worst week after it | coverage (weeks) |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, weeks in run(kinds).items():
        print(row(name, weeks))


if __name__ == "__main__":
    main()
