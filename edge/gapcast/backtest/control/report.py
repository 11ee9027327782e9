"""Report of controlled loads: a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.backtest.control.run import HouseControl, LoadControl, StrategyResult
from gapcast.backtest.control.tariffs import Tariff
from gapcast.core.documents.message_format import counted


def control_lines(control: LoadControl) -> Iterator[str]:
    """Yield the lines for a terminal: one table per house, and the source of the prices."""
    for house in control.houses:
        yield from _table(house, control.tariffs)
    for tariff in control.tariffs:
        yield f"{tariff.name}: {tariff.source}, read on {tariff.checked}"


def _table(house: HouseControl, tariffs: list[Tariff]) -> Iterator[str]:
    nights, months = counted(house.n_evenings, "night"), counted(house.n_months, "month")
    yield f"{house.name}: {nights} with a car and a dishwasher, {months} billed"
    heads = "".join(f"{f'{tariff.currency} a year':>13}" for tariff in tariffs)
    others = f"{'kWh missing':>12} {'short nights':>13} {'dishwasher':>11} {'starts':>7}"
    yield f"  {'':<18} {'month peak':>11}{heads} {others}"
    for name, one in house.strategies.items():
        yield _line(name, one, tariffs)


def _line(name: str, one: StrategyResult, tariffs: list[Tariff]) -> str:
    prices = "".join(f"{price_text(one.year_prices[tariff.name]):>13}" for tariff in tariffs)
    line = f"  {name:<18} {f'{one.peak_kw:.2f} kW':>11}{prices}"
    if (loads := one.loads) is None or not loads.n_evenings:
        return line
    n = loads.n_evenings
    delay, starts = f"+{loads.delay_min / n:.0f} min", f"{loads.n_starts / n:.1f}"
    return f"{line} {loads.missing_kwh / n:>12.2f} {loads.n_short:>13,} {delay:>11} {starts:>7}"


def price_text(price: float | None) -> str:
    """Return the ``price`` of a year as the tables print it."""
    return "-" if price is None else f"{price:,.0f}"
