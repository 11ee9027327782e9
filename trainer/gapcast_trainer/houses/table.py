"""Scores by house as tables of text."""

from __future__ import annotations

import math
from operator import attrgetter
from statistics import median

from gapcast_trainer.houses.result import SKILLS, HousesEvaluation
from gapcast_trainer.scores.span import OVERLAP_REMARK, time_label
from gapcast_trainer.scores.table import NONE, shown

#: Heads of the tables, by skill.
TITLES = {
    "mse_skill": "MSE skill of the mean, %: 1 - MSE / MSE of persistence",
    "mae_skill": "MAE skill of the median (of the mean without one), %: 1 - MAE / MAE of persistence",
}
_PERSISTENCE = {
    "mse_skill": attrgetter("persistence_mse_kw2"),
    "mae_skill": attrgetter("persistence_mae_kw"),
}


def lines(found: HousesEvaluation) -> list[str]:
    """Return the tables for a terminal: one row per house, one column per model."""
    text = [f"{found.horizon_min} min ahead; each house: windows that end with 30 measured readings in a row"]
    for house in found.houses:
        span = house.span
        text.append(f"{house.name}: {time_label(span.first)} until {time_label(span.until)} ({span.why})")
        if span.fitted_to:
            text.append(f"  not out of sample for {', '.join(span.fitted_to)}: fitted to, or chosen on, these minutes")
        if span.overlapping:
            text.append(f"  possibly not out of sample for {', '.join(span.overlapping)}: {OVERLAP_REMARK}")
    text += [f"{name}: {about}" for name, about in found.about.items()]
    for name in SKILLS:
        rows = skill_rows(found, name)
        widths = [max(len(row[k]) for row in rows) + 2 for k in range(len(rows[0]))]
        text += ["", TITLES[name]]
        text += ["".join(f"{row[0]:<{widths[0]}}") + _cells(row, widths) for row in rows]
    return text


def skill_rows(found: HousesEvaluation, name: str) -> list[list[str]]:
    """Return the table of one skill as texts, heads first: houses, then worst, median and houses below 0."""
    skill, persistence, models = SKILLS[name], _PERSISTENCE[name], found.model_names[1:]
    unit = "kW²" if name == "mse_skill" else "kW"
    rows = [["house", "forecasts", f"persistence {unit}", *models]]
    for house in found.houses:
        cells = [percent(skill(house.records[model])) for model in models]
        rows.append([house.name, f"{house.n:,}", shown(persistence(next(iter(house.records.values())))), *cells])
    by_model = [found.skills(model, skill) for model in models]
    for label, of in (("worst", min), ("median", median)):
        rows.append([label, "", "", *(percent(of(skills)) if skills else NONE for skills in by_model)])
    rows.append(["houses below 0", "", "", *(str(sum(value < 0 for value in skills)) for skills in by_model)])
    return rows


def percent(value: float) -> str:
    """Format a skill in percent with its sign.

    >>> percent(0.1234), percent(-0.05)
    ('+12.3', '-5.0')
    """
    return NONE if math.isnan(value) else f"{100 * value:+z.1f}"


def _cells(row: list[str], widths: list[int]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
