"""Renders an evaluation by lead time as an HTML page, of one house or of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES
from gapcast_trainer.evaluation_report.lead_figures import draw_house_leads, draw_lead_coverage, draw_lead_skill
from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
from gapcast_trainer.houses.lead_table import kind_tables
from gapcast_trainer.report.page import figure_as_svg, render
from gapcast_trainer.scores.lead_result import LeadEvaluation
from gapcast_trainer.scores.lead_table import (
    KIND_TITLES,
    cell,
    display_name,
    figure_cells,
    introduction,
    skill_cells,
    skill_title,
)
from gapcast_trainer.scores.record import ScoreRecord

#: Figures of the tables, by title.
_FIGURES: dict[str, Callable[[ScoreRecord], float | None]] = {
    "MSE of the mean, kW²": lambda record: record.mse_kw2,
    "MAE, kW (median forecast; mean if the model has no median)": lambda record: record.best_mae_kw,
}
#: Figures of the 90 % interval, by column head.
_INTERVAL_FIGURES: dict[str, Callable[[ScoreRecord], float | None]] = {
    "coverage of the 90 % interval": lambda record: record.coverage,
    "width kW": lambda record: record.width_kw,
    "pinball kW": lambda record: record.mean_pinball_kw,
}


def leads_page(found: LeadEvaluation) -> str:
    """Return the page of one house as HTML, with embedded plots."""
    skill, coverage = draw_lead_skill(found), draw_lead_coverage(found)
    return render(
        "evaluation_report/leads.html",
        introduction=introduction(found),
        source=found.report.source,
        peers=[(row.name, row.about) for row in found.rows if row.about],
        skill=figure_as_svg(skill, "Skill by minutes ahead, a line for each forecaster."),
        coverage=coverage and figure_as_svg(coverage, "Coverage of the 90 % interval by minutes ahead."),
        kinds=[(KIND_TITLES[kind], _kind_tables(found, kind)) for kind in KINDS],
    )


def house_leads_page(found: HousesLeadEvaluation) -> str:
    """Return the page of several houses as HTML, with embedded plots."""
    return render(
        "evaluation_report/house_leads.html",
        leads=[str(lead) for lead in found.lead_times_min],
        pictures=[
            (name, figure_as_svg(draw_house_leads(found, name), f"Skill and coverage of {name} by house."))
            for name in found.model_names
        ],
        peers=list(found.about.items()),
        kinds=[
            (
                KIND_TITLES[kind],
                [(one.title, [[name, *cells] for name, cells in one.rows]) for one in kind_tables(found, kind)],
            )
            for kind in KINDS
        ],
        houses=[[house, *of.span.cells, f"{of.n:,}"] for house, of in found.houses.items()],
    )


def _kind_tables(found: LeadEvaluation, kind: str) -> list[dict[str, Any]]:
    """Return the tables of ``kind`` that have a figure: a row for each lead time, a column for each forecaster."""
    tables = {title: figure_cells(found, kind, cell(figure)) for title, figure in _FIGURES.items()}
    for reference in REFERENCES:
        tables[f"1 − MSE / MSE of {skill_title(reference)}"] = skill_cells(found, kind, reference)
    tables["Coverage and mean width of the 90 % interval; mean pinball loss over the quantiles"] = [
        (f"{name}: {head}", texts)
        for head, figure in _INTERVAL_FIGURES.items()
        for name, texts in figure_cells(found, kind, cell(figure))
    ]
    leads = [str(lead) for lead in found.lead_times_min]
    return [
        {
            "title": title,
            "head": ["minutes ahead", *(display_name(name) for name, _ in cells)],
            "rows": [[lead, *(texts[at] for _, texts in cells)] for at, lead in enumerate(leads)],
        }
        for title, cells in tables.items()
        if cells
    ]
