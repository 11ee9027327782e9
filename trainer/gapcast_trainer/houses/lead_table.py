"""Scores by house, kind and lead time as tables of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from gapcast.core.outlook.scores.reference_forecasts import KINDS
from gapcast_trainer.houses.lead_result import HousesLeadEvaluation
from gapcast_trainer.houses.table import percent
from gapcast_trainer.scores.lead_table import (
    COVERAGE_TITLE,
    KIND_TITLES,
    SKILL_REFERENCES,
    cell,
    display_name,
    introduction,
)
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.table import NONE, shown, table


@dataclass(frozen=True, slots=True)
class HousesTable:
    """One table below ``title``: each of ``rows`` has a house's name and a text for each lead time."""

    title: str
    rows: list[tuple[str, list[str]]]


def kind_tables(found: HousesLeadEvaluation, kind: str) -> list[HousesTable]:
    """Return the tables of ``kind`` with figures: skill and coverage of models, errors of models and references."""
    return [one for one in _tables(found, kind) if any(text != NONE for _, cells in one.rows for text in cells)]


def _tables(found: HousesLeadEvaluation, kind: str) -> Iterator[HousesTable]:
    for name in found.model_names:
        for reference in SKILL_REFERENCES:
            title = f"{name}: MSE skill against {display_name(reference)}, %"
            yield HousesTable(title, _skill_rows(found, name, kind, reference))
        title = f"{name}: {COVERAGE_TITLE[0].lower()}{COVERAGE_TITLE[1:]}"
        yield HousesTable(title, _record_rows(found, name, kind, lambda record: shown(record.coverage, 3)))
    figures: tuple[tuple[str, str, Callable[[ScoreRecord], float]], ...] = (
        ("MSE, kW²", "", lambda record: record.mse_kw2),
        ("MAE, kW", " (median forecast; mean if the model has no median)", lambda record: record.best_mae_kw),
    )
    for title, of_model, figure in figures:
        for name in (*SKILL_REFERENCES, *found.model_names):
            shown_title = f"{display_name(name)}: {title}" + (of_model if name in found.model_names else "")
            yield HousesTable(shown_title, _record_rows(found, name, kind, cell(figure)))


def house_lead_lines(found: HousesLeadEvaluation) -> Iterator[str]:
    """Yield the tables for a terminal: a row for each house, a column for each lead time."""
    for house, evaluation in found.houses.items():
        first, *others = introduction(evaluation)
        yield f"{house}: {first}"
        yield from (f"  {sentence}" for sentence in others)
    yield from (f"{name}: {about}" for name, about in found.about.items())
    for kind in KINDS:
        yield ""
        yield KIND_TITLES[kind]
        for one in kind_tables(found, kind):
            yield one.title
            yield from table("min", [str(lead) for lead in found.lead_times_min], one.rows, 9)


def _record_rows(
    found: HousesLeadEvaluation, name: str, kind: str, text: Callable[[ScoreRecord], str]
) -> list[tuple[str, list[str]]]:
    by_lead = [found.records(name, kind, lead) for lead in found.lead_times_min]
    return [
        (house, [text(records[house]) if house in records else NONE for records in by_lead]) for house in found.houses
    ]


def _skill_rows(found: HousesLeadEvaluation, name: str, kind: str, reference: str) -> list[tuple[str, list[str]]]:
    by_lead = [found.skills(name, kind, lead, reference) for lead in found.lead_times_min]
    rows = [(house, [percent(skills.get(house, math.nan)) for skills in by_lead]) for house in found.houses]
    for label, of in (("worst", min), ("median", median)):
        rows.append((label, [percent(of(skills.values())) if skills else NONE for skills in by_lead]))
    rows.append(
        ("houses below 0", [str(sum(s < 0 for s in skills.values())) if skills else NONE for skills in by_lead])
    )
    return rows
