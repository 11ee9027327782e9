"""Report of controlled loads: a table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gapcast.backtest.control.run import LEAST_EVENINGS, HouseControl, LoadControl, StrategyResult
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
    if house.is_short:
        yield f"  no month has {LEAST_EVENINGS} of these nights: every month with any is billed"
    heads = _price_heads(tariffs)
    others = f"{'kWh missing':>12} {'short nights':>13} {'dishwasher':>11} {'starts':>7}"
    yield f"  {'':<18} {'month peak':>11}{''.join(heads.values())} {others}"
    for name, one in house.strategies.items():
        prices = "".join(f"{price_text(one.year_prices[tariff]):>{len(head)}}" for tariff, head in heads.items())
        yield _line(name, one, prices)


def _price_heads(tariffs: list[Tariff]) -> dict[str, str]:
    """Return the head of each tariff's column by its name: the currency, with the name if several have the currency."""
    n_of = Counter(tariff.currency for tariff in tariffs)
    heads = {}
    for one in tariffs:
        head = f"{one.currency} a year"
        heads[one.name] = f"  {f'{one.name}, {head}' if n_of[one.currency] > 1 else head:>11}"
    return heads


def _line(name: str, one: StrategyResult, prices: str) -> str:
    line = f"  {name:<18} {f'{one.peak_kw:.2f} kW':>11}{prices}"
    if (loads := one.loads) is None or not loads.n_evenings:
        return line
    n = loads.n_evenings
    delay, starts = f"+{loads.delay_min / n:.0f} min", f"{loads.n_starts / n:.1f}"
    return f"{line} {loads.missing_kwh / n:>12.2f} {loads.n_short:>13,} {delay:>11} {starts:>7}"


def price_text(price: float | None) -> str:
    """Return the ``price`` of a year as the tables print it."""
    return "-" if price is None else f"{price:,.0f}"
