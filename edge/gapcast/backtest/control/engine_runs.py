"""Houses controlled by gapcast's headroom: its engine reads their total power minute by minute, as from a meter."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from tqdm import tqdm

from gapcast.backtest.control.controlled_house import ControlledHouse
from gapcast.backtest.control.house_run import HouseRun, Observed, reactive
from gapcast.backtest.control.loads import DISHWASHER_KW, DISHWASHER_MIN
from gapcast.core.billing.options import SiteDemandOptions
from gapcast.core.demand.demand import Demands
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest
from gapcast.core.engine import Engine
from gapcast.core.readings.reading import Reading

#: Readings per batch before the first evening with loads.
_BATCH_READINGS = 2_048
_DISHWASHER = HeadroomRequest(DISHWASHER_KW, DISHWASHER_MIN)


def run_engine(
    engine: Engine, houses: Sequence[ControlledHouse], site: SiteDemandOptions, *, quiet: bool = True
) -> dict[str, HouseRun]:
    """Run ``houses`` with the headroom that ``engine`` computes; return the runs by name.

    After each reading the car may draw its present power plus the headroom: the smaller of the running window's and the
    next window's. A waiting dishwasher starts if the engine allows 2 kW for 45 minutes, and the car waits for it.
    Without a demand (after a gap) the rule of the last reading applies.
    """
    runs = {house.name: HouseRun(house, site.for_device(house.name)) for house in houses}
    waiting = {name: _before_loads(run) for name, run in runs.items()}
    with tqdm(total=sum(len(house.kw) for house in houses), unit=" min", disable=quiet or None) as progress:
        while waiting:
            n_each = max(1, _BATCH_READINGS // len(waiting))
            parts = {name: list(islice(readings, n_each)) for name, readings in waiting.items()}
            _process(engine, [reading for part in parts.values() for reading in part])
            waiting = {name: readings for name, readings in waiting.items() if len(parts[name]) == n_each}
            progress.update(sum(map(len, parts.values())))
        running = dict(runs)
        while running:
            seen = _step_all(running)
            demands = _process(engine, [_reading(runs[name], observed) for name, observed in seen.items()])
            _allow(engine, runs, seen, demands)
            progress.update(len(seen))
    return runs


def _before_loads(run: HouseRun) -> Iterator[Reading]:
    while run.index < run.house.first_with_loads - 1:
        observed = run.step()
        if observed is not None:
            yield _reading(run, observed)


def _step_all(running: dict[str, HouseRun]) -> dict[str, Observed]:
    """Step each house to its next reading; drop the houses that have no more minutes."""
    seen = {}
    for name, run in list(running.items()):
        observed = None
        while observed is None and not run.is_over:
            observed = run.step()
        if observed is None:
            del running[name]
        else:
            seen[name] = observed
    return seen


def _reading(run: HouseRun, observed: Observed) -> Reading:
    last = run.index - 1
    house = run.house
    return Reading(
        house.name, house.first_minute + last, observed.total_kw, False, None, bool(house.filled[last])
    )  # fmt: skip


def _process(engine: Engine, readings: Sequence[Reading]) -> Demands | None:
    """Process a batch of ``readings``, as the service does; return the demands."""
    accepted = engine.accept(readings)
    accepted.raise_failure()
    forecasts = engine.forecast(accepted, time.time_ns() // 1_000_000)
    demands = engine.demand(accepted, engine.outlook(accepted, forecasts))
    engine.learn()
    return demands


def _allow(engine: Engine, runs: Mapping[str, HouseRun], seen: Mapping[str, Observed], demands: Demands | None) -> None:
    silent = dict(seen)
    if demands is not None:
        columns = demands.running.headroom_kw, demands.next.headroom_kw
        for name, now_kw, later_kw in zip(demands.devices, *(column.tolist() for column in columns), strict=True):
            car_kw, run = silent.pop(name).car_kw, runs[name]
            if run.loads.is_waiting:
                risks = engine.demands.load_risks(name, engine.outlook_of(name), _DISHWASHER)
                is_allowed = risks is not None and risks.answer(engine.limits.max_kw).is_allowed
                run.loads.command(0.0, starts_dishwasher=is_allowed)
            else:
                run.allow(min(now_kw, later_kw) + car_kw)
    for name, observed in silent.items():
        runs[name].allow(reactive(observed))
