"""A week of a house with a car whose charger follows the headroom, once a minute.

``python -m tests.support.charger_week --limit 4`` prints rows of docs/demand-energy-managers.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.inputs.engine_settings import with_outlooks
from gapcast.core.arrays.array_types import F64
from gapcast.core.demand.demand import Demand
from gapcast.core.plans.plan import LoadPlan, PlannedLoad
from gapcast.core.readings.reading import Reading
from gapcast.core.time_grid import MINUTE_MS
from tests.support.evcc_week import DAY_MIN, LEAST_W, WANTED_W, WINDOW_MIN, demands_after, sample_week_kw
from tests.support.gateways import gateway_settings

#: How long an announced power lasts if it is not replaced before.
PLANNED_MIN = 240


class ChargerWeek(NamedTuple):
    """What was charged, how often the power changed, and the windows above the limit because of the car."""

    kwh_per_day: float
    changes_per_day: float
    n_caused: int
    n_windows: int


def headroom_kw(demand: Demand, *, with_next: bool) -> float:
    """Return the headroom of the running window, or with ``with_next`` the smaller one of both windows."""
    running_kw = demand.running.headroom_kw
    return min(running_kw, demand.next.headroom_kw) if with_next else running_kw


def run_charger(
    house_kw: F64, limit_kw: float, *, with_next: bool, is_announced: bool, begins_min: int = DAY_MIN
) -> ChargerWeek:
    """Add the headroom to the charger's own power after each minute from ``begins_min`` on."""
    with TemporaryDirectory() as folder:
        settings = gateway_settings(1, Path(folder), demand={"limit_kw": limit_kw})
        engine = engine_of(with_outlooks(settings, 1), load_models(settings))
    car_kw, charging_kw = np.zeros(len(house_kw)), 0.0
    for minute, own_kw in enumerate(house_kw.tolist()):
        car_kw[minute] = charging_kw
        demands = demands_after(engine, Reading("home", minute, own_kw + charging_kw))
        if demands is None or minute < begins_min:
            continue
        wanted_kw = min(charging_kw + headroom_kw(demands[0], with_next=with_next), WANTED_W / 1_000)
        charging_kw = wanted_kw if wanted_kw >= LEAST_W / 1_000 else 0.0
        if is_announced:
            start_ms, end_ms = ((minute + minutes) * MINUTE_MS for minutes in (1, PLANNED_MIN))
            load = PlannedLoad(charging_kw, start_ms, end_ms, "car")
            engine.replace_plan("home", LoadPlan.from_loads([load] if charging_kw else []))
    alone_kw, with_kw = (kw[begins_min:].reshape(-1, WINDOW_MIN).mean(axis=1) for kw in (house_kw, house_kw + car_kw))
    days, n_caused = (len(house_kw) - begins_min) / DAY_MIN, int(((with_kw > limit_kw) & (alone_kw <= limit_kw)).sum())
    n_changes = int((np.abs(np.diff(car_kw)) > 0.05).sum())
    return ChargerWeek(float(car_kw.sum()) / 60 / days, n_changes / days, n_caused, len(with_kw))


def main() -> None:
    """Print the rows of one limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=4.0, help="limit of a quarter of an hour, kW")
    options = parser.parse_args()
    print("| limit, kW | added once a minute | announced | kWh a day | changes a day | quarters above because of it |")
    print("| --- | --- | --- | --- | --- | --- |")
    for with_next, name in ((False, "`headroom_w`"), (True, "the smaller of `headroom_w` and `next.headroom_w`")):
        for is_announced in (False, True):
            found = run_charger(sample_week_kw(), options.limit, with_next=with_next, is_announced=is_announced)
            numbers = f"{found.kwh_per_day:.1f} | {found.changes_per_day:.0f} | {found.n_caused} of {found.n_windows}"
            print(f"| {options.limit:g} | {name} | {'yes' if is_announced else 'no'} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
