"""An evaluation by lead time and kind as tables of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gapcast.core.outlook.scores.reference_forecasts import KINDS, REFERENCES
from gapcast.core.windows.examples import WHOLE_MIN
from gapcast_trainer.scores.lead_result import LeadEvaluation, LeadRow
from gapcast_trainer.scores.record import ScoreRecord
from gapcast_trainer.scores.table import NONE, shown, table

#: Heads by kind.
KIND_TITLES = dict(zip(KINDS, ("The minute at the lead time", "The mean of all minutes until then"), strict=True))
#: The reference forecasts that are known for every scored minute, used in figures and in tables by house.
SKILL_REFERENCES = REFERENCES[:2]
COVERAGE_TITLE = "Share within the 90 % interval"
_Cell = Callable[[LeadRow, ScoreRecord, int], str]


def introduction(found: LeadEvaluation) -> list[str]:
    """Return sentences that describe the scored minutes."""
    return found.span.sentences(f"{found.n:,} windows that end with {WHOLE_MIN} measured readings in a row")


def lead_lines(found: LeadEvaluation) -> Iterator[str]:
    """Yield the tables for a terminal, for each kind: errors, skill against the references, and coverage."""
    yield from introduction(found)
    for kind in KINDS:
        yield ""
        errors = "MSE kW² / MAE kW (median forecast; mean if the model has no median)"
        yield f"{KIND_TITLES[kind]}: {errors} by minutes ahead"
        yield from _table(found, figure_cells(found, kind, both_errors))
        for reference in REFERENCES:
            if cells := skill_cells(found, kind, reference):
                yield f"Skill against {skill_title(reference)}"
                yield from _table(found, cells)
        yield COVERAGE_TITLE
        yield from _table(found, figure_cells(found, kind, cell(lambda record: record.coverage)))


def both_errors(record: ScoreRecord) -> str:
    """Format MSE and MAE."""
    return f"{shown(record.mse_kw2)} / {shown(record.best_mae_kw)}"


def cell(figure: Callable[[ScoreRecord], float | None]) -> Callable[[ScoreRecord], str]:
    """Return a function that formats ``figure`` for tables."""
    return lambda record: shown(figure(record))


def display_name(reference: str) -> str:
    """Return the name of a reference forecast in a sentence.

    >>> display_name("last_window")
    'last window'
    """
    return reference.replace("_", " ")


def skill_title(reference: str) -> str:
    """Return the reference of a skill, and the minutes on which it is compared.

    >>> skill_title("persistence"), skill_title("last_week")
    ('persistence', 'last week, over the minutes for which it is known')
    """
    remark = "" if reference in SKILL_REFERENCES else ", over the minutes for which it is known"
    return f"{display_name(reference)}{remark}"


def figure_cells(found: LeadEvaluation, kind: str, figure: Callable[[ScoreRecord], str]) -> list[tuple[str, list[str]]]:
    """Return the ``figure`` of each forecaster that has one, by name: a text for each lead time.

    References that are unknown for some outcomes are left out: their figure would cover other minutes than the ones
    beside it.
    """
    return _cells(
        found, kind, lambda _, record, lead: figure(record) if record.n == found.n_outcomes(kind, lead) else NONE
    )


def skill_cells(found: LeadEvaluation, kind: str, reference: str) -> list[tuple[str, list[str]]]:
    """Return the skill against ``reference`` of each forecaster that has one: a text for each lead time."""
    return _cells(found, kind, lambda row, _, lead: shown(found.skill(row, kind, lead, reference), 3))


def _cells(found: LeadEvaluation, kind: str, cell_of: _Cell) -> list[tuple[str, list[str]]]:
    rows = []
    for row in found.rows:
        records = {lead: row.record(kind, lead) for lead in found.lead_times_min}
        cells = [NONE if record is None else cell_of(row, record, lead) for lead, record in records.items()]
        if any(one != NONE for one in cells):
            rows.append((row.name, cells))
    return rows


def _table(found: LeadEvaluation, rows: Sequence[tuple[str, list[str]]]) -> list[str]:
    return table("min", [str(lead) for lead in found.lead_times_min], rows, 18)
