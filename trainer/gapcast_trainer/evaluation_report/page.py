"""Renders an evaluation as an HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from gapcast_trainer.evaluation_report.figures import (
    draw_day,
    draw_hours,
    draw_leads,
    draw_losses,
    draw_readings,
    draw_reliability,
)
from gapcast_trainer.report.page import EmbeddedFigure, figure_as_svg, render
from gapcast_trainer.scores.minutes import AFTER_GAPS
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.result import Evaluation, ForecasterScores
from gapcast_trainer.scores.sheet import Sheet
from gapcast_trainer.scores.table import COSTS, FIGURES, cost_cells, figure_cells, introduction, sample_rows, shown

_TEMPLATE = "evaluation_report/page.html"
#: Minimum number of quantiles for the reliability plot.
_FEW_LEVELS = 3


def page(found: Evaluation) -> str:
    """Return the page as HTML, with embedded plots."""
    rows = found.rows
    persistence = rows[0]
    drawn = [row for row in rows if row.kind != "baseline"]  # trend's errors would flatten the plots
    models = [row for row in rows if row.kind == "model"]
    first = persistence.at_horizon
    sample = [[name, *cells] for name, cells in sample_rows(found)] if found.sampled else []
    return render(
        _TEMPLATE,
        introduction=introduction(found),
        horizon_min=found.span.horizon_min,
        source=found.report.source,
        figures=list(FIGURES),
        headline=[[row.name, *figure_cells(row.at_horizon.headline)] for row in rows],
        stream=[[row.name, *figure_cells(row.at_horizon.stream)] for row in rows],
        sample=sample,
        n_sample=f"{found.sampled[0].at_horizon.headline.n:,}" if found.sampled else "",
        peers=[(row.name, row.about) for row in (*rows, *found.sampled) if row.about],
        day=_day_of(persistence),
        days=[(row.name, _day_picture(row)) for row in models],
        reliability=_reliability(found),
        hours=figure_as_svg(draw_hours(drawn), "Mean squared error by hour of day, a line for each forecaster."),
        readings=_readings(models),
        n_short=f"{_n_shortened(models):,}",
        leads=_leads(persistence, drawn),
        names=[row.name for row in rows],
        months=_grouped(rows, list(first.by_month), lambda sheet: sheet.by_month),
        gaps=_grouped(rows, [name for name in AFTER_GAPS if name in first.after_gaps], lambda sheet: sheet.after_gaps),
        losses=[(row.name, figure) for row in models if (figure := _losses(row)) is not None],
        cost_heads=list(COSTS),
        costs=[[row.name, *cost_cells(row)] for row in rows if row.cost is not None],
    )


def _grouped(
    rows: Sequence[ForecasterScores], names: list[str], group: Callable[[Sheet], dict[str, ScoreRecord]]
) -> list[list[str]]:
    groups = [group(row.at_horizon) for row in rows]
    return [[name, f"{groups[0][name].n:,}", *(shown(found[name].mse_kw2) for found in groups)] for name in names]


def _day_of(row: ForecasterScores) -> str:
    if row.day is None:
        return ""
    return f"{datetime.fromtimestamp(int(row.day.local_minute[0]) * 60, UTC):%A, %d %B %Y}"


def _day_picture(row: ForecasterScores) -> EmbeddedFigure:
    if row.day is None:
        msg = f"{row.name} has no day to draw"
        raise ValueError(msg)
    alt = f"A day's power, and what {row.name} had forecast {row.day.horizon_min} min before."
    return figure_as_svg(draw_day(row.day), alt)


def _reliability(found: Evaluation) -> EmbeddedFigure | None:
    rows = [row for row in (*found.rows, *found.sampled) if len(row.at_horizon.headline.below) >= _FEW_LEVELS]
    if not rows:
        return None
    return figure_as_svg(draw_reliability(rows), "Share of outcomes below each quantile, by the quantile's level.")


def _n_shortened(models: Sequence[ForecasterScores]) -> int:
    return max((record.n for row in models for record in row.at_horizon.by_readings.values()), default=0)


def _readings(models: Sequence[ForecasterScores]) -> EmbeddedFigure | None:
    if not _n_shortened(models):
        return None
    return figure_as_svg(draw_readings(models), "Mean squared error by the number of readings seen.")


def _leads(persistence: ForecasterScores, rows: Sequence[ForecasterScores]) -> EmbeddedFigure | None:
    if len(persistence.sheets) == 1:
        return None
    leads = sorted(persistence.sheets)
    return figure_as_svg(draw_leads(persistence, rows), f"Errors by minutes ahead, {leads[0]} to {leads[-1]}.")


def _losses(row: ForecasterScores) -> EmbeddedFigure | None:
    if row.losses is None:
        return None
    return figure_as_svg(draw_losses(row.losses), f"Losses of {row.name} after each epoch of its training.")
