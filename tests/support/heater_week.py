"""A week of a house with a water heater that always wants more, switched by the rules of the recipes.

``python -m tests.support.heater_week --limit 2.5`` prints rows of docs/demand-energy-managers.md and of
docs/demand-home-assistant.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.engine_settings import with_outlooks
from gapcast.core.arrays.array_types import F64
from gapcast.core.demand.demand import Demand
from gapcast.core.readings.reading import Reading
from tests.support.evcc_week import DAY_MIN, WINDOW_MIN, demands_after, sample_week_kw
from tests.support.gateways import gateway_settings

#: The defaults of the recipes.
MARGIN_KW, MIN_OFF_MIN, SHORTEST_RUN_MIN = 0.2, 5, 5
#: Returns whether a load that needs so many kW may be switched on.
Rule = Callable[[Demand, float], bool]


def by_running_window(demand: Demand, need_kw: float) -> bool:
    """The rule of switch-by-headroom and of the flow for Node-RED."""
    return demand.running.headroom_kw >= need_kw


def as_heater(demand: Demand, need_kw: float) -> bool:
    """The blueprint's rule: the running window has room, and does not end soon."""
    left_min = demand.running.end_minute - demand.observed_minute - 1
    return demand.running.headroom_kw >= need_kw and left_min >= SHORTEST_RUN_MIN


def as_compressor(demand: Demand, need_kw: float) -> bool:
    """The blueprint's rule if the next window counts."""
    return min(demand.running.headroom_kw, demand.next.headroom_kw) >= need_kw


RULES: dict[str, Rule] = {
    "headroom of the running window": by_running_window,
    "the same, with at least five minutes left": as_heater,
    "headroom of this window and the next": as_compressor,
}


class HeaterWeek(NamedTuple):
    """How often and how much the heater ran a day, and the windows that are above the limit because of it."""

    runs_per_day: float
    kwh_per_day: float
    n_caused: int
    n_windows: int


def run_heater(
    house_kw: F64,
    limit_kw: float,
    load_kw: float,
    rule: Rule,
    begins_min: int = DAY_MIN,
    min_off_min: int = MIN_OFF_MIN,
) -> HeaterWeek:
    """Switch the heater from ``begins_min`` on, after each minute by the demand of the house with the heater."""
    with TemporaryDirectory() as folder:
        settings = gateway_settings(1, Path(folder), demand={"limit_kw": limit_kw})
        engine = engine_of(with_outlooks(settings, 1), load_models(settings))
    heater_kw, is_on, off_since, n_runs = np.zeros(len(house_kw)), False, -min_off_min, 0
    for minute, own_kw in enumerate(house_kw.tolist()):
        heater_kw[minute] = load_kw * is_on
        demands = demands_after(engine, Reading("home", minute, own_kw + heater_kw[minute]))
        if demands is None or minute < begins_min:
            continue
        demand = demands[0]
        if is_on and demand.running.headroom_kw < 0:
            is_on, off_since = False, minute
        elif not is_on and minute - off_since >= min_off_min and rule(demand, load_kw + MARGIN_KW):
            is_on, n_runs = True, n_runs + 1
    alone_kw, with_kw = (
        kw[begins_min:].reshape(-1, WINDOW_MIN).mean(axis=1) for kw in (house_kw, house_kw + heater_kw)
    )
    days, n_caused = (len(house_kw) - begins_min) / DAY_MIN, int(((with_kw > limit_kw) & (alone_kw <= limit_kw)).sum())
    return HeaterWeek(n_runs / days, float(heater_kw.sum()) / 60 / days, n_caused, len(with_kw))


def main() -> None:
    """Print the rows of one limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=2.5, help="limit of a quarter of an hour, kW")
    parser.add_argument("--load", type=float, default=2.0, help="power of the heater, kW")
    parser.add_argument("--min-off", type=int, default=MIN_OFF_MIN, help="minimum time off, minutes")
    options = parser.parse_args()
    print("| limit, kW | switched on by | runs a day | kWh a day | quarters above because of it |")
    print("| --- | --- | --- | --- | --- |")
    for name, rule in RULES.items():
        found = run_heater(sample_week_kw(), options.limit, options.load, rule, min_off_min=options.min_off)
        numbers = f"{found.runs_per_day:.0f} | {found.kwh_per_day:.1f} | {found.n_caused} of {found.n_windows}"
        print(f"| {options.limit:g} | {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
