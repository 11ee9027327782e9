"""Reports of a backtest: tables for a terminal, and JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gapcast.backtest.demands.demand_tally import DemandTallies
from gapcast.backtest.outlooks.lead_scores import LeadComparison, LeadScores
from gapcast.backtest.results.results import Backtest
from gapcast.core.billing.infeasible_limit import LIMIT_WARNING, InfeasibleLimit, text_of
from gapcast.core.demand.documents.scores_document import demand_scores_document
from gapcast.core.demand.scores.scores import ANNOUNCED_MIN, MONTH_DAYS, AlarmScore, DemandScores, ElapsedScore
from gapcast.core.documents.figures import skill_or_none
from gapcast.core.documents.message_format import counted
from gapcast.core.errors import SettingsError
from gapcast.core.forecasts.outcomes import PERSISTENCE
from gapcast.core.learning.scores.summary import Summary, named_periods
from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES

#: Header of the lines of :func:`row`.
HEAD = f"  {'':<22} {'MSE kW2':>9} {'skill':>8} {'MAE kW':>9} {'skill':>8}"
_TITLES = dict(zip(KINDS, ("the minute at the lead time", "the mean of all minutes until then"), strict=True))
_LEAD_WIDTH = 15
_RULES = {"gapcast": "gapcast", "persistence": "persistence", "so_far": "mean so far"}


def check_writable(option: str, path: Path) -> None:
    """Raise :class:`SettingsError` if ``path`` cannot be written: checked before the work starts."""
    is_device = path.exists() and not path.is_file()
    written = path if is_device else path.resolve().parent
    if path.is_dir():
        problem = "is a folder; add the name of a file"
    elif not written.exists():
        problem = f"there is no folder {written}"
    elif not os.access(written, os.W_OK):
        problem = f"this account may not write to {written}"
    else:
        return
    msg = f"{option} {path}: cannot be written: {problem}"
    raise SettingsError(msg)


def lines(backtest: Backtest) -> Iterator[str]:
    """Yield the lines for a terminal: one table per house, and one over all houses if there are several."""
    for house in backtest.houses:
        yield from table(house.name, backtest.published_model, house.scored)
    if len(backtest.houses) > 1:
        yield from table(f"all {len(backtest.houses)} houses", backtest.published_model, backtest.scored)
    if (outlooks := backtest.outlooks) is not None:
        for house in backtest.houses:
            yield from outlook_table(house.name, outlooks.for_house(house.name))
        if len(backtest.houses) > 1:
            yield from outlook_table(f"all {len(backtest.houses)} houses", outlooks.overall())
    if (demands := backtest.demands) is not None:
        for house in backtest.houses:
            if (scored := demands.for_house(house.name)) is not None:
                yield from demand_table(house.name, scored, demands.infeasible_limits.get(house.name))
        if len(backtest.houses) > 1 and (scored := demands.overall()) is not None:
            yield from demand_table(f"all {len(backtest.houses)} houses", scored)
    yield from backtest.notes
    yield from warnings(backtest)
    rate = backtest.n_readings / backtest.took_s if backtest.took_s else 0.0
    if (refits := backtest.refits) is not None:
        refused = f", {refits.n_refused} not used" if refits.n_refused else ""
        yield f"{counted(refits.n_refits, 'refit')}{refused}, in {refits.took_s:.1f} s"
    yield f"{counted(backtest.n_readings, 'reading')} in {backtest.took_s:.1f} s: {rate:,.0f} per second"


def warnings(backtest: Backtest) -> Iterator[str]:
    """Yield a line for the models that returned unusable values, and one for the forecasts that were replaced."""
    if backtest.failed_models:
        yield f"warning: unusable values, such as NaN, from {', '.join(backtest.failed_models)}"
    if backtest.n_replaced:
        yield f"warning: {counted(backtest.n_replaced, 'forecast')} replaced by persistence"


def document(backtest: Backtest) -> dict[str, Any]:
    """Return all results as a JSON document."""
    outlooks, demands = backtest.outlooks, backtest.demands
    return {
        "published_model": backtest.published_model,
        "speaker": backtest.published_model,  # its name in 0.1.0, for one more version
        "n_readings": backtest.n_readings,
        "took_s": round(backtest.took_s, 3),
        **({} if backtest.refits is None else {"refits": backtest.refits.document()}),
        "scored": backtest.scored.document(),
        **({} if outlooks is None else {"outlook": [score.document() for score in outlooks.overall()]}),
        **({} if demands is None else {"demand": _demand_document(demands.overall())}),
        "houses": {
            house.name: {
                "scored": house.scored.document(),
                "live": {name: summary.document() for name, summary in named_periods(house.live)},
                "weeks": [week.document() for week in house.weeks],
                **({} if outlooks is None else {"outlook": _house_outlook(outlooks, house.name)}),
                **({} if demands is None else {"demand": _house_demand(demands, house.name)}),
            }
            for house in backtest.houses
        },
    }


def _house_outlook(outlooks: LeadScores, name: str) -> list[dict[str, Any]]:
    return [score.document() for score in outlooks.for_house(name)]


def _demand_document(scores: DemandScores | None) -> dict[str, Any] | None:
    return None if scores is None else demand_scores_document(scores)


def _house_demand(demands: DemandTallies, name: str) -> dict[str, Any] | None:
    found = _demand_document(demands.for_house(name))
    return None if found is None else {**found, LIMIT_WARNING: text_of(demands.infeasible_limits.get(name))}


def table(name: str, published_model: str, scored: Summary) -> Iterator[str]:
    """Yield the table of one house, or of all houses: the ``scored`` forecasts of ``published_model``."""
    yield f"{name}: {scored.n:,} forecasts scored"
    if scored.mse_kw2 is None or scored.mae_kw is None:
        yield "  nothing to score: no forecast has an outcome"
        return
    yield HEAD
    base_mse, base_mae = scored.persistence_mse_kw2, scored.persistence_mae_kw
    for member, its in scored.members.items():
        if member != PERSISTENCE:
            yield row(member, its.mse_kw2, its.mae_kw, its.persistence_mse_kw2, its.persistence_mae_kw)
    yield row(PERSISTENCE, base_mse, base_mae, base_mse, base_mae)
    yield row(f"{published_model} (published)", scored.mse_kw2, scored.mae_kw, base_mse, base_mae)
    if scored.coverage is not None and scored.width_kw is not None:
        interval = f"{scored.coverage:.1%} coverage, mean width {scored.width_kw:.3f} kW"
        yield f"  interval: {interval}; bias {scored.bias_kw:+.4f} kW"


def row(name: str, mse: float | None, mae: float | None, base_mse: float | None, base_mae: float | None) -> str:
    """Return a line below :data:`HEAD`: MSE and MAE, each with its reduction against persistence's (``base``)."""
    return f"  {name:<22} {_number(mse)} {_relative(mse, base_mse)} {_number(mae)} {_relative(mae, base_mae)}"


def _number(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:9.4f}"


def _relative(value: float | None, base: float | None) -> str:
    """Return the relative reduction of ``value`` against ``base``, as text."""
    skill = skill_or_none(value, base)
    return f"{'-':>8}" if skill is None else f"{skill:+8.1%}"


def outlook_table(name: str, scores: Sequence[LeadComparison]) -> Iterator[str]:
    """Yield the table of one house, or of all houses: the outlooks, and their skill against the reference forecasts.

    The skill covers only the outcomes for which the reference is known, which may be fewer than the outlooks' outcomes.
    """
    yield f"{name}: outlook, MSE kW2 / MAE kW; skill by both against each reference, over the minutes that it has"
    for kind in KINDS:
        of_kind = [score for score in scores if score.kind == kind]
        heads = "".join(f" {_words(head):>{_LEAD_WIDTH}}" for head in ("gapcast", *REFERENCES))
        yield f"  {_TITLES[kind]}"
        yield f"  {'min':>3} {'n':>9}{heads}{'coverage':>10}"
        yield from map(_lead_line, of_kind)


def _lead_line(score: LeadComparison) -> str:
    skills = [_pair(one.skill, one.mae_skill, "+.1%") for one in score.references.values()]
    figures = "".join(f" {text:>{_LEAD_WIDTH}}" for text in (_pair(score.mse_kw2, score.mae_kw, ".4f"), *skills))
    coverage = "-" if score.coverage is None else f"{score.coverage:.1%}"
    return f"  {score.lead_min:>3} {score.n:>9,}{figures}{coverage:>10}"


def _pair(of_squares: float | None, of_sizes: float | None, form: str) -> str:
    return "-" if of_squares is None or of_sizes is None else f"{of_squares:{form}}/{of_sizes:{form}}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def demand_table(name: str, scores: DemandScores, infeasible_limit: InfeasibleLimit | None = None) -> Iterator[str]:
    """Yield the tables of one house, or of all houses: probabilities by minutes elapsed, and alarms.

    ``infeasible_limit`` is the limit of the house if it is too low.
    """
    yield f"{name}: demand, {scores.n_windows:,} windows with a limit, {scores.n_events:,} of them above it"
    if infeasible_limit is not None:
        yield f"  warning: {infeasible_limit.text}"
    if not scores.n_windows:
        return
    heads = "".join(f"{head:>17}" for head in ("persistence", "mean so far"))
    yield f"  {'elapsed':>7} {'n':>9} {'events':>7} {'Brier':>9}{heads} {'log score':>10}"
    yield from map(_elapsed_line, scores.by_elapsed)
    announced = "".join(f"{f'{least} min before':>14}" for least in ANNOUNCED_MIN)
    yield f"  {'alarms':<16} {'n':>7} {f'in {MONTH_DAYS} days':>10} {'false':>7}{announced}"
    for source, one in scores.alarms.items():
        yield _alarms(_RULES[source], one)


def _elapsed_line(one: ElapsedScore) -> str:
    persistence, so_far = (f"{score_text(brier):>17}" for brier in (one.persistence_brier, one.so_far_brier))
    return (
        f"  {one.elapsed_min:>7} {one.n:>9,} {one.n_events:>7,} {score_text(one.brier):>9}{persistence}{so_far} "
        f"{score_text(one.log_score):>10}"
    )


def _alarms(name: str, one: AlarmScore) -> str:
    shares = "".join(f"{'-' if share is None else f'{share:.0%}':>14}" for share in one.announced)
    per_month = "-" if one.per_month is None else f"{one.per_month:.1f}"
    return f"  {name:<16} {one.n:>7,} {per_month:>10} {one.n_false:>7,}{shares}"


def score_text(value: float | None) -> str:
    """Return a score as the tables print it."""
    return "-" if value is None else f"{value:.4f}"
