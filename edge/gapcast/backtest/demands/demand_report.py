"""Reports of the demands of a back-test: tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from gapcast.core.billing.low_limit import LowLimit
from gapcast.core.demand.scores.scores import ANNOUNCED_MIN, MONTH_DAYS, AlarmScore, DemandScores, ThirdScore

_RULES = {"gapcast": "gapcast", "held": "last value held", "so_far": "mean so far"}


def demand_table(name: str, scores: DemandScores, low_limit: LowLimit | None = None) -> Iterator[str]:
    """Yield the tables of one house, or of all houses: probabilities by minutes elapsed, and alarms.

    ``low_limit`` is the limit of the house if it is too low.
    """
    yield f"{name}: demand, {scores.n_windows:,} windows with a limit, {scores.n_events:,} of them above it"
    if low_limit is not None:
        yield f"  warning: {low_limit.text}"
    if not scores.n_windows:
        return
    heads = "".join(f"{head:>17}" for head in ("last value held", "mean so far"))
    yield f"  {'elapsed':>7} {'n':>9} {'events':>7} {'Brier':>9}{heads} {'log score':>10}"
    yield from map(_third, scores.thirds)
    announced = "".join(f"{f'{least} min before':>14}" for least in ANNOUNCED_MIN)
    yield f"  {'alarms':<16} {'n':>7} {f'in {MONTH_DAYS} days':>10} {'false':>7}{announced}"
    for source, one in scores.alarms.items():
        yield _alarms(_RULES[source], one)


def _third(one: ThirdScore) -> str:
    held, so_far = (f"{_figure(brier):>17}" for brier in (one.held_brier, one.so_far_brier))
    return (
        f"  {one.elapsed_min:>7} {one.n:>9,} {one.n_events:>7,} {_figure(one.brier):>9}{held}{so_far} "
        f"{_figure(one.log_score):>10}"
    )


def _alarms(name: str, one: AlarmScore) -> str:
    shares = "".join(f"{'-' if share is None else f'{share:.0%}':>14}" for share in one.announced)
    per_month = "-" if one.per_month is None else f"{one.per_month:.1f}"
    return f"  {name:<16} {one.n:>7,} {per_month:>10} {one.n_false:>7,}{shares}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
