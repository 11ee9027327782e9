"""Runs the loads of houses under each strategy, and bills the months."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gapcast.app.engines.engine import engine_of
from gapcast.app.models.models import load_models
from gapcast.backtest.control.billing import billed_windows, month_peaks, months_of
from gapcast.backtest.control.controlled_house import NONE, ControlledHouse
from gapcast.backtest.control.engine_runs import run_engine
from gapcast.backtest.control.house_run import reactive, run_rule, unlimited
from gapcast.backtest.control.loads import LoadResult
from gapcast.backtest.control.oracle import run_oracle
from gapcast.backtest.control.tariffs import Tariff
from gapcast.backtest.inputs.engine_settings import require_limit, require_scored_features, with_outlooks
from gapcast.backtest.inputs.houses import FilePart, minutes_of
from gapcast.backtest.run import read_houses
from gapcast.config.settings import Settings
from gapcast.core.arrays.array_types import F64
from gapcast.core.billing.options import DemandOptions
from gapcast.core.errors import SourceError
from gapcast.recordings.text.layout import FileFormat

#: Strategies in the order of the report. The house alone has no loads.
ALONE, UNLIMITED, REACTIVE, LATE = "house alone", "no control", "last reading", "last reading, late"
GAPCAST, ORACLE = "gapcast", "hindsight"
#: Evenings with loads that a month needs to be billed, if any month has as many.
LEAST_EVENINGS = 14


@dataclass(frozen=True, slots=True)
class StrategyResult:
    """The result of one strategy for one house: means over the billed months.

    ``peak_kw`` is the mean of the months' peaks by the demand's windows. ``year_prices``, by tariff name, is the price
    of a year in which every month has the recorded peak, with the tariff's summer and winter prices whichever months
    were recorded; None if the tariff bills none of the months. ``loads`` is None for the house alone.
    """

    peak_kw: float
    year_prices: dict[str, float | None]
    loads: LoadResult | None


@dataclass(frozen=True, slots=True)
class HouseControl:
    """The results of one house by strategy, over ``n_months`` billed months with ``n_evenings`` evenings with loads.

    ``is_short``: no month has :data:`LEAST_EVENINGS` of them, so all months with any are billed.
    """

    name: str
    n_months: int
    n_evenings: int
    strategies: dict[str, StrategyResult]
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class LoadControl:
    """The results of all houses, and the tariffs."""

    houses: list[HouseControl]
    tariffs: list[Tariff]

    def document(self) -> dict[str, Any]:
        """Return all results as a JSON document."""
        return {
            "tariffs": [
                {name: getattr(tariff, name) for name in ("name", "currency", "source", "checked", "note")}
                for tariff in self.tariffs
            ],
            "houses": {
                house.name: {
                    "n_months": house.n_months,
                    "n_evenings": house.n_evenings,
                    "is_short": house.is_short,
                    "strategies": {name: asdict(one) for name, one in house.strategies.items()},
                }
                for house in self.houses
            },
        }


def run_control(
    settings: Settings,
    files: Sequence[Path],
    form: FileFormat,
    part: FilePart,
    tariffs: list[Tariff],
    *,
    show: Callable[[str], object] | None = None,
) -> LoadControl:
    """Add a car and a dishwasher to each of ``files``, and control them by each strategy from ``part.score_from`` on.

    Evenings, windows and months are in ``site.timezone``, as in the engine. Raises the errors of
    :func:`~gapcast.backtest.processes.run_files`, and :class:`SettingsError` without a limit.
    """
    require_limit(settings.demand, "--control")
    loads_from, zone = part.first_scored_minute, settings.site.zone
    recordings = read_houses(settings, files, form, part, show)
    houses = [
        ControlledHouse.from_readings(name, list(minutes_of(recording, part)), zone, loads_from)
        for name, recording in recordings.items()
    ]
    for house in houses:
        if not house.n_evenings:
            msg = "has no night with readings to add loads to: they need most minutes from 18:00 to 07:00"
            raise SourceError(recordings[house.name].path, msg)
    site = settings.demand.site_options(zone)
    bills = {house.name: _Bills(house, site.for_device(house.name), tariffs) for house in houses}
    # Before the engine, which takes minutes: the highest peak is mostly that without control.
    for one in bills.values():
        one.add(ALONE, one.house.kw, None)
        for name, rule in ((UNLIMITED, unlimited), (REACTIVE, reactive), (LATE, reactive)):
            run = run_rule(one.house, one.options, rule, is_late=name == LATE)
            one.add(name, run.total_kw, run.loads.finish())
    engine = engine_of(with_outlooks(settings, len(houses)), load_models(settings))
    require_scored_features(engine)
    for name, run in run_engine(engine, houses, site, quiet=show is None).items():
        one = bills[name]
        one.add(GAPCAST, run.total_kw, run.loads.finish())
        one.add(ORACLE, *run_oracle(one.house, one.options))
    return LoadControl([one.result() for one in bills.values()], tariffs)


class _Bills:
    """The results of the strategies for one house, billed one by one."""

    def __init__(self, house: ControlledHouse, options: DemandOptions, tariffs: Sequence[Tariff]) -> None:
        self.house, self.options = house, options
        self._tariffs = tariffs
        self._months, self._is_short = billed_months(house)
        self._strategies: dict[str, StrategyResult] = {}

    def add(self, name: str, kw: F64, loads: LoadResult | None) -> None:
        """Bill the power ``kw`` of the strategy ``name``; raise :class:`SettingsError` if a tariff has no price."""
        local, months = self.house.local, self._months
        peaks = month_peaks(billed_windows(kw, local, self.options), self.options.n_peak_days)
        prices = {}
        for tariff in self._tariffs:
            billed = tariff.peaks_kw(kw, local)
            prices[tariff.name] = _mean([tariff.year_price(billed[month]) for month in months if month in billed])
        peak_kw = _mean([peaks[month] for month in months if month in peaks]) or 0.0
        self._strategies[name] = StrategyResult(peak_kw, prices, loads)

    def result(self) -> HouseControl:
        """Return the results by strategy."""
        n_months, n_evenings = len(self._months), self.house.n_evenings
        return HouseControl(self.house.name, n_months, n_evenings, self._strategies, self._is_short)


def billed_months(house: ControlledHouse) -> tuple[list[int], bool]:
    """Return the months with at least 14 evenings with loads, else all months with any, and whether none has 14."""
    with_loads = house.evenings[house.evenings != NONE]
    numbers, counts = np.unique(months_of(np.unique(with_loads)), return_counts=True)
    enough = counts >= LEAST_EVENINGS
    is_short = bool(counts.size) and not enough.any()
    months: list[int] = (numbers if is_short else numbers[enough]).tolist()
    return months, is_short


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
