"""Readings of a few houses with all irregularities, and a gateway engine's forecasts of them."""

from __future__ import annotations

import csv
import json
import math
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.request import BacktestRequest
from gapcast.backtest.run import run_houses
from gapcast.config.settings import Settings
from gapcast.recordings.recording import Minute
from tests.support.models import shipped_models

#: 2010-11-01T00:00Z.
FIRST = 21_476_160
#: 2025-10-26T00:00Z and 2026-03-29T00:00Z: an hour before the clocks change in Berlin.
AUTUMN_S, SPRING_S = 1_761_436_800, 1_774_742_400
MESSAGE_S = 1_600_000_000


class ForecastKw(NamedTuple):
    """A forecast, kW."""

    gap_kw: float
    median_kw: float
    lower_kw: float
    upper_kw: float


#: By device and observed minute.
Forecasts = dict[tuple[str, str], ForecastKw]


def settings(**sections: Any) -> Settings:
    """An ensemble of two models, one of them small, with learning and bounds."""
    forecast = {"model": "lstm-5-3", "experts": ["linear"]} | sections.pop("forecast", {})
    return Settings.model_validate({"models": {"path": shipped_models()}, "forecast": forecast, **sections})


def minutes_of(house: int, n: int) -> Iterator[tuple[int, float]]:
    """Return a house's minutes in order of arrival: some missing, some twice, some late, one a day ahead."""
    for i in range(n):
        kw = round(0.3 + 0.2 * house + 0.3 * math.sin((i + house) / 9) + (i % 23 < 4) * 1.5, 3)
        if (i + house) % 17 == 3:  # missing
            continue
        if house == 2 and 20 <= i < 30:  # an outage: the history restarts
            continue
        yield FIRST + i, kw
        if (i + house) % 13 == 5:
            yield FIRST + i, kw + 1  # again
        if (i + house) % 19 == 7:
            yield FIRST + i - 3, kw  # late
        if house == 3 and i == 25:
            yield FIRST + 100_000, kw  # a clock's mistake


def samples(first_s: int, n_hours: int = 3) -> Iterator[tuple[int, float]]:
    """Return samples every ten seconds (epoch s, W), some times twice, and twelve minutes without samples."""
    for i in range(n_hours * 360):
        watts = round(400 + 300 * math.sin(i / 50) + (i % 130 < 20) * 1_500, 1)
        if not 250 <= i < 322:
            yield first_s + i * 10, watts
        if i % 97 == 5:
            yield first_s + i * 10, watts + 999  # again


def fleet(n_houses: int = 6, n: int = 45) -> dict[str, list[tuple[int, float]]]:
    """Return several such houses."""
    return {f"house-{house}": list(minutes_of(house, n)) for house in range(n_houses)}


def shuffled(houses: Mapping[str, list[tuple[int, float]]], seed: int = 7) -> list[tuple[str, int, float]]:
    """Return all readings, randomly interleaved between the houses, in order within each house."""
    order = [name for name, minutes in houses.items() for _ in minutes]
    random.Random(seed).shuffle(order)
    left = {name: iter(minutes) for name, minutes in houses.items()}
    return [(name, *next(left[name])) for name in order]


def write_lines(folder: Path, readings: Iterable[tuple[str, int, float]], n_files: int, first: int = 0) -> None:
    """Write lines of JSON to files of one folder, one second apart, with names in reverse order of time."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"device": d, "ts": minute * 60, "gap_kw": kw}) for d, minute, kw in readings]
    n_each = -(-len(lines) // n_files)
    for i in range(n_files):
        path = folder / f"{900 - first - i}.json"
        path.write_text("\n".join(lines[i * n_each : (i + 1) * n_each]) + "\n", encoding="utf-8")
        os.utime(path, (MESSAGE_S + first + i, MESSAGE_S + first + i))


def of_the_edge(folder: Path, houses: Mapping[str, list[tuple[int, float]]], **sections: Any) -> Forecasts:
    """Return the forecasts of a gateway's engine for these houses, as ``gapcast backtest`` writes them."""
    folder.mkdir()
    out, chosen = folder / "out.csv", settings(**sections)
    readings = {name: (Minute(*one) for one in minutes) for name, minutes in sorted(houses.items())}
    run_houses(engine_of(chosen, load_models(chosen)), readings, request=BacktestRequest(out=out))
    with out.open(newline="", encoding="utf-8") as lines_of:
        return {
            (row["device"], row["observed_at"]): ForecastKw(*(float(row[name]) for name in ForecastKw._fields))
            for row in csv.DictReader(lines_of)
        }


def of_the_fleet(folder: Path) -> Forecasts:
    """Return the forecasts under ``folder``, from JSON; fail if a forecast occurs twice."""
    found: Forecasts = {}
    for path in folder.glob("batch=*/kind=forecast/part-*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            document = json.loads(line)
            key = document["device"], document["observed_at"]
            assert key not in found, f"{key} is there twice"
            found[key] = ForecastKw(*(document[name] for name in ForecastKw._fields))
    return found


def furthest(one: Forecasts, other: Forecasts) -> float:
    """Return the largest difference between two sets of the same forecasts, kW."""
    assert one.keys() == other.keys(), one.keys() ^ other.keys()
    return max(abs(a - b) for key in one for a, b in zip(one[key], other[key], strict=True))
