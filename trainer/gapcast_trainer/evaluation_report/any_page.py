"""Renders the page of any evaluation."""

from __future__ import annotations

from gapcast_trainer.evaluation_report.houses_page import houses_page
from gapcast_trainer.evaluation_report.leads_page import house_leads_page, leads_page
from gapcast_trainer.evaluation_report.page import page
from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
from gapcast_trainer.houses.result import HousesEvaluation
from gapcast_trainer.scores.lead_result import LeadEvaluation
from gapcast_trainer.scores.result import Evaluation

AnyEvaluation = Evaluation | HousesEvaluation | LeadEvaluation | HousesLeadEvaluation


def page_of(found: AnyEvaluation) -> str:
    """Return the page of ``found`` as HTML, with embedded plots."""
    match found:
        case HousesLeadEvaluation():
            return house_leads_page(found)
        case LeadEvaluation():
            return leads_page(found)
        case HousesEvaluation():
            return houses_page(found)
        case Evaluation():
            return page(found)
