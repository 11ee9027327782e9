"""A week of a house with a car that always wants more, limited by a model of evcc's circuits with one of three numbers.

``python -m tests.support.evcc_week --limit 4`` prints the table of docs/demand-energy-managers.md.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.engine_settings import with_outlooks
from gapcast.core.arrays.array_types import F64
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.documents.max_power import max_powers_w
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading
from gapcast.sample import sample_path
from tests.support.evcc import Circuit, Topic
from tests.support.gateways import gateway_settings

DAY_MIN, WINDOW_MIN, WANTED_W, LEAST_W = 1_440, 15, 7_400.0, 1_400.0
#: Control cycles in a minute: evcc's default interval is 30 s.
N_CYCLES = 2
#: Returns the number for the circuit from the demand of one device, and the limit, kW.
Number = Callable[[Demands, float], int]


def sample_week_kw() -> F64:
    """Return the power of the bundled week, kW, in whole windows; its missing minutes are as those before them."""
    with gzip.open(sample_path(), "rt", encoding="utf-8", newline="") as file:
        texts = [row["Global_active_power"] for row in csv.DictReader(file, delimiter=";")]
    found: list[float] = []
    for text in texts:
        found.append(float(text) if text not in {"", "?"} else found[-1])
    return np.array(found[: len(found) // WINDOW_MIN * WINDOW_MIN])


def fixed_w(_demands: Demands, limit_kw: float) -> int:
    """The limit itself, as without gapcast."""
    return int(1_000 * limit_kw)


def budget_w(demands: Demands, limit_kw: float) -> int:
    """What the limit leaves for the rest of the window, without a forecast."""
    elapsed_min, so_far_kw = int(demands.running.elapsed_min[0]), float(np.nan_to_num(demands.running.so_far_kw[0]))
    left_kw = (WINDOW_MIN * limit_kw - elapsed_min * so_far_kw) / (WINDOW_MIN - elapsed_min)
    return max(1, int(1_000 * left_kw))


def gapcast_w(demands: Demands, _limit_kw: float) -> int:
    """What gapcast publishes."""
    return max_powers_w(demands)[0]


NUMBERS: dict[str, Number] = {
    "the limit": fixed_w,
    "what the limit leaves": budget_w,
    "`max_power_w`": gapcast_w,
}


@dataclass(frozen=True, slots=True)
class WeekResult:
    """Windows with the car: how many, how many above the limit, and how many of these because of the car.

    ``highest_kw`` is the highest window in which the house alone is below the limit, ``kwh_per_day`` what was charged.
    """

    n_windows: int
    n_above: int
    n_caused: int
    highest_kw: float
    kwh_per_day: float


def run_week(house_kw: F64, limit_kw: float, number: Number, begins_min: int = DAY_MIN) -> WeekResult:
    """Charge from ``begins_min`` on. After each minute the engine reads the total, and the circuit gets the number."""
    with TemporaryDirectory() as folder:
        settings = gateway_settings(1, Path(folder), demand={"limit_kw": limit_kw})
        engine = engine_of(with_outlooks(settings, 1), load_models(settings))
    topic, car_kw, charging_w = Topic(120), np.zeros(len(house_kw)), 0.0
    circuit = Circuit(1_000 * limit_kw, topic)
    for minute, own_kw in enumerate(house_kw.tolist()):
        for cycle in range(N_CYCLES):
            if minute >= begins_min and cycle:  # the first half of a minute is as the last one was
                allowed_w = circuit.allowed_w(1_000 * own_kw + charging_w, charging_w, WANTED_W, 60 * minute + 30)
                charging_w = allowed_w if allowed_w >= LEAST_W else 0.0
            car_kw[minute] += charging_w / 1_000 / N_CYCLES
        demands = demands_after(engine, Reading("home", minute, own_kw + car_kw[minute]))
        if demands is not None:
            topic.receive(b"%d" % number(demands, limit_kw), 60.0 * (minute + 1))
    return _result(house_kw[begins_min:], car_kw[begins_min:], limit_kw)


def demands_after(engine: Engine, reading: Reading) -> Demands | None:
    """Return the demand after ``reading``, if there is one, and learn."""
    accepted = engine.accept([reading])
    accepted.raise_failure()
    demands = engine.demand(accepted, engine.outlook(accepted, engine.forecast(accepted, time.time_ns() // 1_000_000)))
    engine.learn()
    return demands or None


def _result(house_kw: F64, car_kw: F64, limit_kw: float) -> WeekResult:
    alone_kw, total_kw = (kw.reshape(-1, WINDOW_MIN).mean(axis=1) for kw in (house_kw, house_kw + car_kw))
    is_above = total_kw > limit_kw
    is_below_alone, days = alone_kw <= limit_kw, len(car_kw) / DAY_MIN
    n_caused, highest_kw = int((is_above & is_below_alone).sum()), float(total_kw[is_below_alone].max())
    return WeekResult(len(total_kw), int(is_above.sum()), n_caused, highest_kw, float(car_kw.sum()) / 60 / days)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=4.0, help="limit of a quarter of an hour, kW")
    options = parser.parse_args()
    print("| `GetMaxPower` is | quarters above | because of the car | highest of them, kW | kWh a day |")
    print("| --- | --- | --- | --- | --- |")
    for name, number in NUMBERS.items():
        found = run_week(sample_week_kw(), options.limit, number)
        counts = f"{found.n_above} of {found.n_windows} | {found.n_caused}"
        print(f"| {name} | {counts} | {found.highest_kw:.2f} | {found.kwh_per_day:.1f} |", flush=True)


if __name__ == "__main__":
    main()
