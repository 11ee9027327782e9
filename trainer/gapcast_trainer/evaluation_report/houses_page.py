"""Renders the scores of several houses as an HTML page."""

from __future__ import annotations

from gapcast_trainer.houses.result import HousesEvaluation
from gapcast_trainer.houses.table import TITLES, skill_rows
from gapcast_trainer.report.page import render

_TEMPLATE = "evaluation_report/houses.html"


def houses_page(found: HousesEvaluation) -> str:
    """Return the page as HTML: a table of each skill, and a description of the scored minutes."""
    return render(
        _TEMPLATE,
        horizon_min=found.horizon_min,
        skills=[(title, skill_rows(found, name)) for name, title in TITLES.items()],
        peers=list(found.about.items()),
        houses=[[house.name, *house.span.cells] for house in found.houses],
    )
